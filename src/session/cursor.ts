import { create } from "@bufbuild/protobuf";
import type { Text } from "@codemirror/state";
import type { CursorPosition } from "../gen/codereview/v1/codereview_pb.ts";
import { CursorPositionSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { recentText, versionsSince } from "./file.ts";
import { isRefusal } from "./refusal.ts";
import type { SessionState } from "./state.ts";

/**
 * A cursor as of the file's newest version. One that cannot be mapped with little work (no such file yet, not of the
 * newest few versions) goes on as it was sent: it is only ever shown, and the next one is right again.
 */
export function mapCursor(state: SessionState, cursor: CursorPosition, historyVersions: number): CursorPosition {
  const file = state.files.get(cursor.filePath);
  if (file === undefined || file.deleted) return cursor;
  const version = cursor.version === 0 ? file.version : cursor.version;
  const since = versionsSince(file, version, historyVersions);
  if (isRefusal(since)) return cursor;
  const base = recentText(file, version);
  if (base === undefined) return cursor;
  const move = (line: number, column: number) => {
    const position = since.reduce((at, { changes }) => changes.mapPos(at, 1), positionOf(base, line, column));
    const found = file.text.lineAt(position);
    return { line: found.number, column: position - found.from };
  };
  const head = move(cursor.line, cursor.column);
  const anchor = cursor.anchorLine === 0 ? { line: 0, column: 0 } : move(cursor.anchorLine, cursor.anchorColumn);
  return create(CursorPositionSchema, {
    filePath: cursor.filePath,
    version: file.version,
    line: head.line,
    column: head.column,
    anchorLine: anchor.line,
    anchorColumn: anchor.column,
  });
}

function positionOf(text: Text, lineNumber: number, column: number): number {
  const line = text.line(Math.min(Math.max(lineNumber, 1), text.lines));
  return line.from + Math.min(Math.max(column, 0), line.length);
}
