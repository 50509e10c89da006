import { create } from "@bufbuild/protobuf";
import { type Comment, CommentSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { CommentState } from "./state.ts";

/** A comment as the wire has it, at its line of the file's newest version. */
export function encodeComment(comment: CommentState): Comment {
  return create(CommentSchema, {
    commentId: comment.id,
    lineNumber: comment.line,
    text: comment.text,
    filePath: comment.path,
    parentId: comment.parentId,
    resolved: comment.resolved,
    userId: comment.userId,
    timestamp: BigInt(comment.timestampMs),
  });
}

/** The other way: a comment of the log or of a snapshot, whose line is of the version that was then the newest. */
export function decodeComment(comment: Comment): CommentState {
  return {
    id: comment.commentId,
    path: comment.filePath,
    line: comment.lineNumber,
    text: comment.text,
    parentId: comment.parentId,
    resolved: comment.resolved,
    userId: comment.userId,
    timestampMs: Number(comment.timestamp),
  };
}
