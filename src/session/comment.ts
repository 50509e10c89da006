import { create } from "@bufbuild/protobuf";
import type { Comment } from "../gen/codereview/v1/codereview_pb.ts";
import { CommentSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { textAt, versionsSince } from "./file.ts";
import type { Limits } from "./limits.ts";
import { isPathValid } from "./path.ts";
import { isRefusal, type Refusal, refuse } from "./refusal.ts";
import type { CommentState, SessionState } from "./state.ts";
import { isWellFormed } from "./text.ts";

const maxIdLength = 128;
/** A comment goes in one piece: this is what lets every part of a snapshot stay small. */
const maxTextLength = 16 * 1024;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for.
const controlCharacter = /[\u0000-\u001f\u007f]/;

/** Who writes, and whether they may change what others wrote. */
export interface CommentWriter {
  readonly userId: string;
  readonly isAdmin: boolean;
}

/** What a comment costs of the session's text, beyond its own: it is held, sent to joiners and stored in snapshots. */
const commentOverheadUnits = 128;

export function commentUnits(comment: CommentState): number {
  return comment.text.length + commentOverheadUnits;
}

/**
 * The comment as it goes into the log: at its line of the file's newest version, with its author and first time. A
 * comment that is there already is replaced by its author or an admin; anybody who may comment may resolve it.
 */
export function admitComment(
  state: SessionState,
  writer: CommentWriter,
  sent: Comment,
  nowMs: number,
  limits: Limits,
): Comment | Refusal {
  const { commentId: id } = sent;
  if (id === "" || !isIdValid(id) || !isIdValid(sent.parentId) || sent.version < 0) return refuse("COMMENT_INVALID");
  if (sent.text.length > maxTextLength || !isWellFormed(sent.text)) {
    return refuse("COMMENT_INVALID", `a comment's text is well-formed, of at most ${maxTextLength} characters`);
  }
  const present = state.comments.get(id);
  if (present === undefined && sent.deleted) return refuse("COMMENT_INVALID", "there is no such comment");
  const path = sent.filePath === "" ? (present?.path ?? "") : sent.filePath;
  const place = sent.deleted || keepsPlace(present, sent) ? present : placeOf(state, path, sent, limits);
  if (place === undefined) return refuse("COMMENT_INVALID", "a comment needs the line that it is about");
  if (isRefusal(place)) return place;
  const isOwn = present === undefined || writer.isAdmin || writer.userId === present.userId;
  if (!isOwn && !changesResolvedAlone(present, sent, place)) return refuse("COMMENT_FORBIDDEN");
  const growth = sent.text.length + commentOverheadUnits - (present === undefined ? 0 : commentUnits(present));
  if (!sent.deleted && state.units + growth > limits.sessionBytes) {
    return refuse("DOCUMENT_TOO_LARGE", `the session's text would be larger than ${limits.sessionBytes}`);
  }
  return create(CommentSchema, {
    commentId: id,
    lineNumber: place.line,
    text: sent.deleted ? "" : sent.text,
    filePath: place.path,
    parentId: sent.parentId === "" ? (present?.parentId ?? "") : sent.parentId,
    resolved: sent.resolved,
    deleted: sent.deleted,
    version: state.files.get(place.path)?.version ?? 0,
    userId: present?.userId ?? writer.userId,
    timestamp: BigInt(present?.timestampMs ?? nowMs),
  });
}

function isIdValid(id: string): boolean {
  return id.length <= maxIdLength && !controlCharacter.test(id) && isWellFormed(id);
}

/** Whoever sends a comment back as it was told to them, but for `resolved`, changes nothing that its author wrote. */
function changesResolvedAlone(
  present: CommentState,
  sent: Comment,
  place: Pick<CommentState, "path" | "line">,
): boolean {
  const keepsParent = sent.parentId === "" || sent.parentId === present.parentId;
  const isThere = place.path === present.path && place.line === present.line;
  return !sent.deleted && sent.text === present.text && keepsParent && isThere;
}

function keepsPlace(present: CommentState | undefined, sent: Comment): boolean {
  return present !== undefined && sent.lineNumber === 0 && (sent.filePath === "" || sent.filePath === present.path);
}

/** Where a comment that names a line stands now. */
function placeOf(
  state: SessionState,
  path: string,
  sent: Comment,
  limits: Limits,
): Pick<CommentState, "path" | "line"> | Refusal {
  if (path === "") return { path, line: Math.max(0, sent.lineNumber) };
  if (!isPathValid(path)) return refuse("PATH_INVALID");
  const file = state.files.get(path);
  if (file === undefined) return refuse("FILE_NOT_FOUND");
  const version = sent.version === 0 ? file.version : sent.version;
  const since = versionsSince(file, version, limits.fileHistory);
  if (isRefusal(since)) return since;
  const text = textAt(file, version);
  if (isRefusal(text)) return text;
  if (sent.lineNumber < 1 || sent.lineNumber > text.lines) {
    return refuse("COMMENT_INVALID", `a comment stands at a line: ${sent.lineNumber} of ${text.lines}`);
  }
  const start = since.reduce((at, { changes }) => changes.mapPos(at, 1), text.line(sent.lineNumber).from);
  return { path, line: file.text.lineAt(start).number };
}
