import { create } from "@bufbuild/protobuf";
import type { ChangeSet } from "@codemirror/state";
import type { Comment } from "../../gen/codereview/v1/codereview_pb.ts";
import { CommentSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../reasons.ts";
import type { PendingFile, Transition } from "./pending-file.ts";

/**
 * On which text a comment's line stands. One made on text that is not in the log waits until it is: a line is told to
 * the relay as one of a version that the relay knows.
 */
export type Layer = "displayed" | "in-flight" | "confirmed";

/** A comment of this client's that the log is not known to have. */
export interface PendingComment {
  /** As it was asked for; a line of 0 keeps the place. */
  readonly comment: Comment;
  layer: Layer;
  /** Where its line begins, on that text. On the confirmed one its line counts. */
  position: number;
  /** 1-based, of the confirmed text. */
  line: number;
}

/** A comment on a line of what is displayed; of a file that is not there it says the line as it is. */
export function createPendingComment(comment: Comment, file: PendingFile | undefined): PendingComment {
  const line = comment.lineNumber;
  if (line === 0 || file === undefined) return { comment, layer: "confirmed", position: 0, line };
  const { text } = file.displayed;
  const layer = settle("displayed", file);
  const position = text.line(Math.min(Math.max(line, 1), text.lines)).from;
  return { comment, layer, position, line };
}

/** Whether its line counts at all. */
export function hasPlace({ comment }: PendingComment): boolean {
  return comment.lineNumber !== 0 && comment.filePath !== "";
}

/** The lowest text that is the same as the one it stands on: when the buffer is sent it is on the text in flight. */
function settle(layer: Layer, { inFlight, buffer }: PendingFile): Layer {
  if (layer === "displayed" && buffer.length > 0) return "displayed";
  return layer !== "confirmed" && inFlight !== undefined ? "in-flight" : "confirmed";
}

/** The file's steps were sent or acked. */
export function settleComment(pending: PendingComment, file: PendingFile): void {
  if (!hasPlace(pending) || pending.layer === "confirmed") return;
  pending.layer = settle(pending.layer, file);
  if (pending.layer === "confirmed") place(pending, file, pending.position);
}

function place(pending: PendingComment, { confirmed: { text } }: PendingFile, position: number): void {
  pending.position = Math.min(position, text.length);
  pending.line = text.lineAt(pending.position).number;
}

/** Something was typed here. */
export function moveByTyping(pending: PendingComment, changes: ChangeSet): void {
  if (pending.layer === "displayed") pending.position = movePosition(pending.position, changes);
}

/** The file changed below what is pending: by `changes` of the confirmed text (none when a step was taken back). */
export function moveByTransition(
  pending: PendingComment,
  { file, atInFlight, atDisplayed }: Transition,
  changes: ChangeSet | undefined,
): void {
  if (!hasPlace(pending)) return;
  switch (pending.layer) {
    case "confirmed":
      // As the relay does it: the place where its line began is followed, and its line taken there.
      if (changes !== undefined) place(pending, file, movePosition(pending.position, changes));
      return;
    case "in-flight":
      if (atInFlight !== undefined) pending.position = movePosition(pending.position, atInFlight);
      break;
    case "displayed":
      if (atDisplayed !== undefined) pending.position = movePosition(pending.position, atDisplayed);
      break;
    default:
      assertNever(pending.layer);
  }
  settleComment(pending, file);
}

function movePosition(position: number, changes: ChangeSet): number {
  return changes.mapPos(Math.min(position, changes.length), 1);
}

/**
 * As it is sent: at its line of the file's confirmed version, from whose beginning its place is followed from now on.
 * Undefined: there is no such file.
 */
export function encodePendingComment(pending: PendingComment, file: PendingFile | undefined): Comment | undefined {
  const { comment, line } = pending;
  if (!hasPlace(pending)) return comment;
  if (file?.confirmed.exists !== true) return undefined;
  pending.position = file.confirmed.text.line(line).from;
  return create(CommentSchema, { ...comment, lineNumber: line, version: file.confirmed.version });
}
