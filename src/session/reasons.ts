import { Fault_Action as Action } from "../gen/codereview/v1/codereview_pb.ts";

/** The Connect codes that the relay uses, as they are spelled on the wire. */
export type CodeName =
  | "aborted"
  | "data_loss"
  | "deadline_exceeded"
  | "failed_precondition"
  | "internal"
  | "invalid_argument"
  | "not_found"
  | "out_of_range"
  | "permission_denied"
  | "resource_exhausted"
  | "unauthenticated"
  | "unavailable"
  | "unimplemented";

export interface ReasonEntry {
  readonly code: CodeName;
  /** What the client should do about it. */
  readonly action: Action;
  /** For people: what is wrong and what to do. Used where the place that found it has nothing more exact to say. */
  readonly says: string;
}

const entry = (code: CodeName, action: Action, says: string): ReasonEntry => ({ code, action, says });

/**
 * The closed list of why the relay refuses a message or ends a stream. A reason is stable: clients branch on it.
 * The same list serves a `Fault` on a living stream and the error that ends one.
 */
export const reasons = {
  // Ends of streams.
  DRAIN: entry("unavailable", Action.RECONNECT, "the relay is going away; resume on a new stream"),
  MAX_STREAM_AGE: entry("unavailable", Action.RECONNECT, "the stream is old enough; resume on a new one"),
  FIRST_MESSAGE_TIMEOUT: entry("deadline_exceeded", Action.RECONNECT, "no first message came in time; send a Join"),
  CLIENT_SILENT: entry("deadline_exceeded", Action.RECONNECT, "nothing was heard from the client; answer heartbeats"),
  DEADLINE: entry("deadline_exceeded", Action.RECONNECT, "the deadline that the client set has passed"),
  MESSAGE_TOO_LARGE: entry("resource_exhausted", Action.STOP, "the message is larger than allowed; send less at once"),
  MALFORMED: entry("invalid_argument", Action.STOP, "the bytes are not a message of this contract"),
  // The code is what gRPC's specification and Connect's conformance tests ask for, though the fault is the client's.
  ENCODING_MISSING: entry("internal", Action.STOP, "a message is compressed, but the call names no encoding"),
  TOKEN_INVALID: entry("unauthenticated", Action.REAUTHENTICATE, "send a valid token: Authorization: Bearer <jwt>"),
  TOKEN_EXPIRED: entry("unauthenticated", Action.REAUTHENTICATE, "token expired; come back with a new one"),
  TOKEN_REVOKED: entry("unauthenticated", Action.REAUTHENTICATE, "the token was revoked; come back with a new one"),
  KEYS_UNAVAILABLE: entry(
    "unavailable",
    Action.RECONNECT,
    "the keys that tokens are checked with cannot be had; try again",
  ),
  RESUME_TOKEN_INVALID: entry("unauthenticated", Action.RESYNC, "resume token is not valid; join without it"),
  RESUME_FORBIDDEN: entry("permission_denied", Action.STOP, "resume token was issued for another subject"),
  SUPERSEDED: entry("aborted", Action.STOP, "a newer stream of this client took over"),
  SLOW_CONSUMER: entry("resource_exhausted", Action.RECONNECT, "the client read too slowly; resume on a new stream"),
  ORIGIN_FORBIDDEN: entry("permission_denied", Action.STOP, "pages of this origin may not call this relay"),
  SESSION_FORBIDDEN: entry(
    "permission_denied",
    Action.STOP,
    "the token does not name this session, or grants no scope in it",
  ),
  EPOCH_CHANGED: entry("aborted", Action.RESYNC, "the session's history changed; start from a snapshot"),
  DISCONNECTED: entry("aborted", Action.STOP, "an operator ended the stream"),
  SESSION_FULL: entry("resource_exhausted", Action.RECONNECT, "the session has as many participants as it may"),
  USER_LIMIT: entry("resource_exhausted", Action.RECONNECT, "the user has as many streams or sessions as one may"),
  BUSY: entry("unavailable", Action.RECONNECT, "more clients come at once than the relay takes in; come back later"),
  // Not `unavailable`: what calls by itself again on that would make it worse.
  OVERLOADED: entry("resource_exhausted", Action.RECONNECT, "the session has more to do than it can; come back later"),
  LOG_UNAVAILABLE: entry("unavailable", Action.RECONNECT, "the session's log cannot be reached; try again"),
  LOG_FULL: entry("resource_exhausted", Action.RETRY, "storage full: nothing more can be kept; reading goes on"),
  LOG_DAMAGED: entry("data_loss", Action.STOP, "a stored record of this session is damaged; it is kept aside"),
  INTERNAL: entry("internal", Action.RECONNECT, "a fault of the relay; its log names this stream"),
  // Refusals of a call or of a message.
  REQUEST_INVALID: entry("invalid_argument", Action.STOP, "the request's fields do not say what is to be done"),
  SESSION_ID_INVALID: entry(
    "invalid_argument",
    Action.STOP,
    "a session id matches [A-Za-z0-9][A-Za-z0-9._/-]{0,127} and has no '..'",
  ),
  CLIENT_ID_INVALID: entry("invalid_argument", Action.STOP, "a client id matches [A-Za-z0-9_-]{1,64}"),
  PROTOCOL_UNSUPPORTED: entry("unimplemented", Action.STOP, "this relay speaks protocol 1"),
  ALREADY_JOINED: entry("failed_precondition", Action.DROP, "already joined"),
  NOT_JOINED: entry("failed_precondition", Action.STOP, "the first message of a stream is a Join"),
  SESSION_NOT_FOUND: entry("not_found", Action.STOP, "there is no such session"),
  SERVICE_NOT_FOUND: entry("not_found", Action.STOP, "this relay has no service of that name"),
  SCOPE_MISSING: entry("permission_denied", Action.DROP, "the token lacks the scope for this"),
  WRONG_SENDER: entry(
    "permission_denied",
    Action.DROP,
    "a message names the session, user and client of its own stream",
  ),
  PAYLOAD_MISSING: entry("invalid_argument", Action.DROP, "the message has no payload"),
  PAYLOAD_UNKNOWN: entry(
    "unimplemented",
    Action.DROP,
    "the message has a payload that this relay does not know; it speaks protocol 1",
  ),
  PAYLOAD_UNEXPECTED: entry("invalid_argument", Action.DROP, "only the relay sends this payload"),
  HEARTBEAT_INVALID: entry(
    "invalid_argument",
    Action.DROP,
    "received_seq names a record that the stream was not sent, or one before the last that it named",
  ),
  CLIENT_SEQ_REUSED: entry("invalid_argument", Action.DROP, "the client_seq was used with another content"),
  OUT_OF_ORDER: entry("failed_precondition", Action.RETRY, "the client_seq is not the next one"),
  PATH_INVALID: entry(
    "invalid_argument",
    Action.DROP,
    "a file path has 1 to 512 characters, none of them a control character",
  ),
  FILE_EXISTS: entry("failed_precondition", Action.DROP, "the file exists; edit the version that you have seen"),
  FILE_NOT_FOUND: entry("not_found", Action.DROP, "there is no such file; version 0 makes one"),
  FILE_DELETED: entry("failed_precondition", Action.DROP, "the file was deleted; version 0 makes it anew"),
  VERSION_AHEAD: entry("out_of_range", Action.RESYNC, "the version is ahead of the file's"),
  STALE_VERSION: entry(
    "failed_precondition",
    Action.RESYNC,
    "the version is older than the history kept; too far behind",
  ),
  UNACKED_BASE: entry(
    "failed_precondition",
    Action.RESYNC,
    "the edit stands on a version before the client's own last edit of the file; one unacked edit for each file",
  ),
  EDIT_OUT_OF_RANGE: entry("invalid_argument", Action.DROP, "the edit does not apply to its version"),
  EDIT_TOO_LARGE: entry("resource_exhausted", Action.DROP, "the edit is larger than allowed"),
  DOCUMENT_TOO_LARGE: entry("resource_exhausted", Action.DROP, "the text would be larger than allowed"),
  TOO_MANY_FILES: entry("resource_exhausted", Action.DROP, "the session has as many files as it may"),
  COMMENT_INVALID: entry(
    "invalid_argument",
    Action.DROP,
    "a comment has an id of 1 to 128 characters and a line that exists",
  ),
  COMMENT_FORBIDDEN: entry("permission_denied", Action.DROP, "only its author or an admin changes a comment"),
  CUSTOM_INVALID: entry("invalid_argument", Action.DROP, "a custom message's type has at most 128 characters"),
  SEQ_OUT_OF_RANGE: entry("out_of_range", Action.DROP, "the log does not reach there"),
  RATE_LIMITED: entry("resource_exhausted", Action.RETRY, "messages come faster than allowed"),
  UNACKED_LIMIT: entry("resource_exhausted", Action.RETRY, "more is unacked than allowed; wait for acks"),
  CONTENTION: entry("aborted", Action.RETRY, "others wrote at the same time, too often in a row"),
  ROTATION_REJECTED: entry(
    "unauthenticated",
    Action.REAUTHENTICATE,
    "the new token was refused; the one in force stays",
  ),
} as const satisfies Record<string, ReasonEntry>;

export type Reason = keyof typeof reasons;

/** What is over with it: the stream or call; one message, and the stream lives on; or either, by where it is found. */
export type ReasonScope = "stream" | "message" | "either";

const ofMessages: ReadonlySet<Reason> = new Set([
  "ALREADY_JOINED",
  "PAYLOAD_MISSING",
  "PAYLOAD_UNKNOWN",
  "PAYLOAD_UNEXPECTED",
  "HEARTBEAT_INVALID",
  "CLIENT_SEQ_REUSED",
  "OUT_OF_ORDER",
  "PATH_INVALID",
  "FILE_EXISTS",
  "FILE_NOT_FOUND",
  "FILE_DELETED",
  "VERSION_AHEAD",
  "STALE_VERSION",
  "UNACKED_BASE",
  "EDIT_OUT_OF_RANGE",
  "EDIT_TOO_LARGE",
  "DOCUMENT_TOO_LARGE",
  "TOO_MANY_FILES",
  "COMMENT_INVALID",
  "COMMENT_FORBIDDEN",
  "CUSTOM_INVALID",
  "UNACKED_LIMIT",
  "CONTENTION",
]);

const ofEither: ReadonlySet<Reason> = new Set([
  "SUPERSEDED",
  "LOG_FULL",
  "SCOPE_MISSING",
  "WRONG_SENDER",
  "RATE_LIMITED",
  "ROTATION_REJECTED",
]);

export function scopeOf(reason: Reason): ReasonScope {
  if (ofMessages.has(reason)) return "message";
  return ofEither.has(reason) ? "either" : "stream";
}

export interface BatonErrorOptions {
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/**
 * The one error of this project. Its reason carries the Connect code and the client's action. The message is for
 * people and is sent: it never holds a token, a key, text of a document or a stack; the cause stays here.
 */
export class BatonError extends Error {
  override readonly name = "BatonError";
  readonly reason: Reason;
  readonly retryAfterMs: number;

  constructor(reason: Reason, message: string = reasons[reason].says, options: BatonErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs ?? 0;
  }

  get code(): CodeName {
    return reasons[this.reason].code;
  }

  get action(): Action {
    return reasons[this.reason].action;
  }
}

/** What newer code says may be none. */
export const isReason = (name: string): name is Reason => Object.hasOwn(reasons, name);

/** The end of every switch over a union: a case that was forgotten does not compile. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value ${String(value)}`);
}
