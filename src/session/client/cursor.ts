import { create } from "@bufbuild/protobuf";
import type { CursorPosition } from "../../gen/codereview/v1/codereview_pb.ts";
import { CursorPositionSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import type { InFlightStep, PendingFile, Step } from "./pending-file.ts";

/** Offsets in the displayed text, in UTF-16 code units. */
export interface Selection {
  readonly head: number;
  /** The other end of a selection; absent = none. */
  readonly anchor?: number;
}

/** A cursor as others can read it: on the file's confirmed text. Undefined where the log has no such file yet. */
export function encodeCursor(file: PendingFile, { head, anchor }: Selection): CursorPosition | undefined {
  if (!file.confirmed.exists || !file.displayed.exists) return undefined;
  const { version, text } = file.confirmed;
  const at = lineAndColumn(text, confirmedPosition(file, head));
  const cursor = create(CursorPositionSchema, { filePath: file.path, version, line: at.line, column: at.column });
  if (anchor !== undefined && anchor !== head) {
    const other = lineAndColumn(text, confirmedPosition(file, anchor));
    cursor.anchorLine = other.line;
    cursor.anchorColumn = other.column;
  }
  return cursor;
}

function lineAndColumn(text: PendingFile["confirmed"]["text"], position: number) {
  const line = text.lineAt(position);
  return { line: line.number, column: position - line.from };
}

function confirmedPosition({ inFlight, buffer, confirmed, displayed }: PendingFile, position: number): number {
  const steps: readonly (InFlightStep | undefined)[] = [inFlight, ...buffer];
  let at = Math.min(Math.max(position, 0), displayed.text.length);
  for (const step of [...steps].reverse()) if (hasChanges(step)) at = step.changes.invertedDesc.mapPos(at, -1);
  return Math.min(at, confirmed.text.length);
}

function hasChanges(step: InFlightStep | undefined): step is Exclude<Step, { kind: "delete" }> {
  return step?.kind === "edit" || step?.kind === "create";
}
