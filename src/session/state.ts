import type { FileState } from "./file.ts";
import { Layer } from "./layer.ts";
import { appendToTrail, type Trail } from "./trail.ts";

/** A comment where it stands now. */
export interface CommentState {
  readonly id: string;
  /** Empty: it belongs to no file. */
  readonly path: string;
  /** 1-based line of the file's newest version; as it was sent where there is no file. */
  readonly line: number;
  readonly text: string;
  readonly parentId: string;
  readonly resolved: boolean;
  /** The author. */
  readonly userId: string;
  /** Of its first writing, ms since the Unix epoch. */
  readonly timestampMs: number;
}

/** A client's message that the log holds. */
export interface LoggedMessage {
  readonly clientSeq: number;
  readonly seq: number;
  readonly payloadHash: number;
  /** Its record's, ms since the Unix epoch. */
  readonly timestampMs: number;
  /** The file version that an edit made; 0 for others. */
  readonly version: number;
}

/** What is known of a device or tab. */
export interface ClientEntry {
  readonly userId: string;
  readonly clientId: string;
  readonly lastClientSeq: number;
  /** Of its last logged message, ms since the Unix epoch. */
  readonly lastUsedMs: number;
  readonly recent: Trail<LoggedMessage> | undefined;
}

/** A session as its log says up to `head`: nothing in it is not durable, unless it is a fork. */
export interface SessionState {
  readonly sessionId: string;
  epoch: string;
  head: number;
  readonly files: Layer<FileState>;
  readonly comments: Layer<CommentState>;
  readonly clients: Layer<ClientEntry>;
  /** Files that exist. */
  fileCount: number;
  /** UTF-16 code units of all texts and comments. */
  units: number;
  /** Whether anything but `custom` was logged. */
  hasDocument: boolean;
  /** The last record that is a `custom` message, which no snapshot tells of; 0 = there is none. */
  lastCustomSeq: number;
}

export function emptyState(sessionId: string, epoch: string): SessionState {
  return {
    sessionId,
    epoch,
    head: 0,
    files: Layer.create(),
    comments: Layer.create(),
    clients: Layer.create(),
    fileCount: 0,
    units: 0,
    hasDocument: false,
    lastCustomSeq: 0,
  };
}

export function forkState(state: SessionState): SessionState {
  return { ...state, files: state.files.fork(), comments: state.comments.fork(), clients: state.clients.fork() };
}

/** Makes a fork's content the state's own. */
export function mergeState(state: SessionState, fork: SessionState): void {
  fork.files.merge();
  fork.comments.merge();
  fork.clients.merge();
  const { epoch, head, fileCount, units, hasDocument, lastCustomSeq } = fork;
  Object.assign(state, { epoch, head, fileCount, units, hasDocument, lastCustomSeq });
}

/** A client's key: a client id has no slash, so the two cannot run into each other. */
export function clientKey(userId: string, clientId: string): string {
  return `${clientId}/${userId}`;
}

/** The client's last number that the log holds; 0 = none, or forgotten. */
export function lastClientSeq(state: SessionState, key: string): number {
  return state.clients.get(key)?.lastClientSeq ?? 0;
}

/** Numbers whose place in the log is remembered: more than a client has on its way when something repeats a message. */
const recentMessages = 256;

export function noteLogged(state: SessionState, userId: string, clientId: string, logged: LoggedMessage): void {
  const key = clientKey(userId, clientId);
  const recent = appendToTrail(state.clients.get(key)?.recent, logged, recentMessages);
  state.clients.set(key, { userId, clientId, lastClientSeq: logged.clientSeq, lastUsedMs: logged.timestampMs, recent });
}
