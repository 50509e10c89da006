import type { ChangeSet } from "@codemirror/state";
import type { Comment, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { commentUnits } from "./comment.ts";
import { decodeComment } from "./comment-codec.ts";
import { absentFile, advanceFile, type FileState, fileUnits } from "./file.ts";
import { clientKey, noteLogged, type SessionState } from "./state.ts";
import { changeSet, mapLine, movesLines } from "./text.ts";

/**
 * The fold: the state after one more record. Every participant, every instance and every reader of the log does the
 * same, so all that is in it follows from the records alone.
 */
export function applyRecord(
  state: SessionState,
  message: SessionMessage,
  payloadHash: number,
  historyVersions: number,
): void {
  const { payload } = message;
  let version = 0;
  if (payload.case === "edit") {
    const edit = payload.value;
    const file = state.files.get(edit.filePath) ?? absentFile(edit.filePath);
    const changes = changeSet(file.text.length, edit.changes);
    putEdit(state, file, changes, edit.deleted, clientKey(message.userId, message.clientId), historyVersions);
    version = edit.version;
  } else if (payload.case === "comment") {
    putComment(state, payload.value);
  }
  putLogged(state, message, payloadHash, version);
}

/** What every record does, whatever its payload. */
export function putLogged(state: SessionState, message: SessionMessage, payloadHash: number, version: number): void {
  const seq = Number(message.seq);
  state.head = seq;
  if (message.payload.case === "custom") state.lastCustomSeq = seq;
  else state.hasDocument = true;
  noteLogged(state, message.userId, message.clientId, {
    clientSeq: Number(message.clientSeq),
    seq,
    payloadHash,
    timestampMs: Number(message.timestamp),
    version,
  });
}

export function putEdit(
  state: SessionState,
  file: FileState,
  changes: ChangeSet,
  deleted: boolean,
  author: string,
  historyVersions: number,
): void {
  const next = advanceFile(file, changes, author, deleted, historyVersions);
  state.files.set(file.path, next);
  state.units += fileUnits(next) - fileUnits(file);
  state.fileCount += Number(!next.deleted) - Number(!file.deleted);
  if (file.commentIds.length === 0 || !movesLines(file.text, next.text, changes)) return;
  for (const id of file.commentIds) {
    const comment = state.comments.get(id);
    if (comment === undefined) continue;
    const line = mapLine(file.text, next.text, changes, comment.line);
    if (line !== comment.line) state.comments.set(id, { ...comment, line });
  }
}

export function putComment(state: SessionState, comment: Comment): void {
  const { commentId: id, filePath: path } = comment;
  const present = state.comments.get(id);
  if (present !== undefined) {
    state.units -= commentUnits(present);
    if (comment.deleted || present.path !== path) unlist(state, present.path, id);
  }
  if (comment.deleted) {
    state.comments.delete(id);
    return;
  }
  const next = decodeComment(comment);
  state.comments.set(id, next);
  state.units += commentUnits(next);
  const file = present?.path === path ? undefined : state.files.get(path);
  if (file !== undefined) {
    state.files.set(path, { ...file, commentIds: [...file.commentIds, id] });
  }
}

function unlist(state: SessionState, path: string, id: string): void {
  const file = state.files.get(path);
  if (file !== undefined) {
    state.files.set(path, { ...file, commentIds: file.commentIds.filter((other) => other !== id) });
  }
}
