import { create } from "@bufbuild/protobuf";
import type { CodeEdit, Comment } from "../../gen/codereview/v1/codereview_pb.ts";
import { CodeEditSchema, CommentSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import type { FileState } from "../file.ts";
import type { SessionState } from "../state.ts";
import { walkTrail } from "../trail.ts";

/** What has to be known of a client of the original contract to read what it sends. */
export interface OriginalSender {
  /** The file that it edited last; empty = none yet. */
  readonly editedPath: string;
  /** Lines that it shows of a file. It cannot remove one: those that the text no longer has are empty. */
  linesShown(path: string): number;
}

/**
 * Its edit, on the version that it is meant for. It is not told the versions that it makes, and may not count any: 0, and
 * one below its own last edit of the file, mean the text as it now is. A deleted file is one of empty lines to it.
 */
export function readOriginalEdit(state: SessionState, author: string, edit: CodeEdit): CodeEdit {
  const file = state.files.get(edit.filePath);
  if (file === undefined || !isMeantForNewest(file, author, edit.version)) return edit;
  return create(CodeEditSchema, { ...edit, version: file.deleted ? 0 : file.version });
}

function isMeantForNewest(file: FileState, author: string, version: number): boolean {
  if (version === 0 || version === file.version) return true;
  for (const made of walkTrail(file.history)) {
    if (made.version <= version) return false;
    if (made.author === author) return true;
  }
  return false;
}

/**
 * Its comment, with the file that it does not name: that of the comment which it replaces, the one that its sender edited
 * last, or the first that was made in the session and is there. A line that only its sender still shows is the last one.
 */
export function readOriginalComment(state: SessionState, sender: OriginalSender, comment: Comment): Comment {
  const { commentId, lineNumber } = comment;
  const filePath = comment.filePath || (state.comments.get(commentId)?.path ?? (sender.editedPath || firstFile(state)));
  const lines = state.files.get(filePath)?.text.lines;
  const isGone = lines !== undefined && lineNumber > lines && lineNumber <= sender.linesShown(filePath);
  return create(CommentSchema, { ...comment, filePath, lineNumber: isGone ? lines : lineNumber });
}

function firstFile(state: SessionState): string {
  for (const { path, deleted } of state.files.values()) if (!deleted) return path;
  return "";
}
