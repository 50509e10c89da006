import { create } from "@bufbuild/protobuf";
import type { ChangeSet } from "@codemirror/state";
import type { CodeEdit } from "../../gen/codereview/v1/codereview_pb.ts";
import { CodeEditSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { defaultLimits } from "../limits.ts";
import { assertNever } from "../reasons.ts";
import { type Change, changeSet, listChanges } from "../text.ts";
import type { PendingFile, Step } from "./pending-file.ts";

/** How much one edit of this client may hold; what was typed beyond it goes with the next one. */
export interface EditBounds {
  /** UTF-16 code units that it inserts. */
  readonly insertUnits: number;
  readonly changes: number;
}

/** Half of what the relay takes by default: an edit may be cut into more changes when it is rebased. */
export const defaultEditBounds: EditBounds = {
  insertUnits: defaultLimits.editBytes >> 1,
  changes: defaultLimits.editChanges >> 1,
};

/** Puts the buffer's first step in flight, as much of it as one edit may hold, unless an edit of the file is unacked. */
export function sendNext(file: PendingFile, bounds: EditBounds): PendingFile {
  const [first, ...others] = file.buffer;
  if (file.inFlight !== undefined || first === undefined) return file;
  if (first.kind === "delete") return { ...file, inFlight: first, buffer: others };
  const [changes, rest] = splitChanges(first.changes, bounds);
  if (changes.empty && first.kind === "edit") return sendNext({ ...file, buffer: others }, bounds);
  const left: readonly Step[] = rest === undefined ? [] : [{ kind: "edit", changes: rest }];
  return { ...file, inFlight: { kind: first.kind, changes }, buffer: [...left, ...others] };
}

/** The step in flight as a message, on the confirmed version. An edit without a change says so by an empty one. */
export function encodeStep({ path: filePath, confirmed }: PendingFile, step: Step): CodeEdit {
  const { version } = confirmed;
  switch (step.kind) {
    case "create":
      return create(CodeEditSchema, { filePath, version: 0, changes: listChanges(step.changes) });
    case "edit": {
      const changes = listChanges(step.changes);
      if (changes.length === 0) changes.push({ from: 0, to: 0, insert: "" });
      return create(CodeEditSchema, { filePath, version, changes });
    }
    case "delete":
      return create(CodeEditSchema, { filePath, version, deleted: true });
    default:
      return assertNever(step);
  }
}

/**
 * A set, in the form in which it is sent, as one within the bounds and what is left of it after that one. No surrogate
 * pair is split.
 */
export function splitChanges(set: ChangeSet, bounds: EditBounds): readonly [ChangeSet, ChangeSet | undefined] {
  const changes = listChanges(set);
  const taken: Change[] = [];
  let units = 0;
  for (const [index, change] of changes.entries()) {
    const room = bounds.insertUnits - units;
    if (index === bounds.changes || (room <= 0 && change.insert.length > 0)) {
      return splitAt(set.length, taken, changes.slice(index));
    }
    if (change.insert.length > room) {
      const cut = room - Number(isHighSurrogate(change.insert.charCodeAt(room - 1)));
      if (cut === 0 && taken.length > 0) return splitAt(set.length, taken, changes.slice(index));
      const length = cut === 0 ? 2 : cut;
      if (length >= change.insert.length) {
        taken.push(change);
        units += change.insert.length;
        continue;
      }
      const rest = { from: change.to, to: change.to, insert: change.insert.slice(length) };
      taken.push({ ...change, insert: change.insert.slice(0, length) });
      return splitAt(set.length, taken, [rest, ...changes.slice(index + 1)]);
    }
    taken.push(change);
    units += change.insert.length;
  }
  return [changeSet(set.length, taken), undefined];
}

const isHighSurrogate = (unit: number): boolean => (unit & 0xfc00) === 0xd800;

function splitAt(length: number, taken: readonly Change[], left: readonly Change[]): readonly [ChangeSet, ChangeSet] {
  const first = changeSet(length, taken);
  // All of `left` lies behind all of `taken`, so it has moved by what the first made of the length.
  const moved = first.newLength - length;
  const shifted = left.map(({ from, to, insert }) => ({ from: from + moved, to: to + moved, insert }));
  return [first, changeSet(first.newLength, shifted)];
}
