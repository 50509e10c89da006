import type { ChangeSet, Text } from "@codemirror/state";
import type { Comment } from "../../gen/codereview/v1/codereview_pb.ts";
import { decodeComment } from "../comment-codec.ts";
import type { CommentState } from "../state.ts";
import { mapLine } from "../text.ts";
import type { PendingComment } from "./pending-comment.ts";

/** Whose comment it is where it is a new one, and when it was logged. */
export interface CommentOrigin {
  readonly userId: string;
  readonly timestampMs: number;
}

/** The comments as the log has them, each at its line of its file's confirmed text; they move as the relay moves them. */
export class CommentsView {
  readonly #comments = new Map<string, CommentState>();
  /** Ids by path, also of files that are gone: their comments stay, and move again when the file is made anew. */
  readonly #byPath = new Map<string, Set<string>>();

  get(id: string): CommentState | undefined {
    return this.#comments.get(id);
  }

  values(): IterableIterator<CommentState> {
    return this.#comments.values();
  }

  /** A comment of the log or of a snapshot. */
  put(comment: Comment): void {
    if (comment.deleted) this.#remove(comment.commentId);
    else this.#set(decodeComment(comment));
  }

  /** This client's own comment is in the log: what the relay made of it follows from what is known here. */
  putOwn({ comment, line }: PendingComment, { userId, timestampMs }: CommentOrigin): void {
    const { commentId: id, text, resolved } = comment;
    if (comment.deleted) {
      this.#remove(id);
      return;
    }
    const present = this.#comments.get(id);
    const path = comment.filePath === "" ? (present?.path ?? "") : comment.filePath;
    const keepsPlace = present !== undefined && comment.lineNumber === 0 && path === present.path;
    this.#set({
      id,
      path,
      line: keepsPlace ? present.line : Math.max(0, line),
      text,
      parentId: comment.parentId === "" ? (present?.parentId ?? "") : comment.parentId,
      resolved,
      userId: present?.userId ?? userId,
      timestampMs: present?.timestampMs ?? timestampMs,
    });
  }

  /** A file's confirmed text changed. */
  move(path: string, before: Text, after: Text, changes: ChangeSet): void {
    const ids = this.#byPath.get(path);
    if (ids === undefined) return;
    for (const id of ids) {
      const comment = this.#comments.get(id);
      if (comment === undefined) continue;
      const line = mapLine(before, after, changes, comment.line);
      if (line !== comment.line) this.#comments.set(id, { ...comment, line });
    }
  }

  /** A snapshot takes the place of all that was known. */
  reset(comments: readonly Comment[]): void {
    this.#comments.clear();
    this.#byPath.clear();
    for (const comment of comments) this.put(comment);
  }

  #set(comment: CommentState): void {
    const { id, path } = comment;
    const present = this.#comments.get(id);
    if (present !== undefined && present.path !== path) this.#unlist(present);
    this.#comments.set(id, comment);
    const ids = this.#byPath.get(path);
    if (path === "") return;
    if (ids === undefined) this.#byPath.set(path, new Set([id]));
    else ids.add(id);
  }

  #remove(id: string): void {
    const present = this.#comments.get(id);
    if (present === undefined) return;
    this.#comments.delete(id);
    this.#unlist(present);
  }

  #unlist({ id, path }: CommentState): void {
    const ids = this.#byPath.get(path);
    ids?.delete(id);
    if (ids?.size === 0) this.#byPath.delete(path);
  }
}
