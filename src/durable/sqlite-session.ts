import type { RecordPack } from "./packed-records.ts";
import type { LogState } from "./session-log.ts";
import { integerOf, type SqlRow, textOf } from "./sqlite-driver.ts";

/** A client as it stands after everything committed. */
export interface ClientState {
  readonly id: number;
  generation: number;
  lastClientSeq: number;
}

/**
 * A session as it stands after everything committed; the file's lock is ours, so it need not be read again. What a
 * transaction changes here, it can undo.
 */
export interface SessionState {
  readonly id: number;
  readonly name: string;
  epoch: string;
  head: number;
  headChecksum: number;
  first: number;
  bytes: number;
  lastActivityMs: number;
  /** The last seq that lies in a segment; those after it are in `tail` and in the journal. */
  foldedHead: number;
  tail: RecordPack[];
  tailBytes: number;
  /** By `clientKeyText`; those that were asked for since the session was loaded. */
  clients: Map<string, ClientState>;
  /** Those whose last number the journal has and the clients table has not yet. */
  unfoldedClients: Set<ClientState>;
  clientsForgottenAtMs: number;
  /** Deleted: nothing of it needs to be kept. */
  gone: boolean;
}

export function newSession(id: number, name: string, epoch: string): SessionState {
  return {
    id,
    name,
    epoch,
    head: 0,
    headChecksum: 0,
    first: 1,
    bytes: 0,
    lastActivityMs: 0,
    foldedHead: 0,
    tail: [],
    tailBytes: 0,
    clients: new Map(),
    unfoldedClients: new Set(),
    clientsForgottenAtMs: 0,
    gone: false,
  };
}

/** As of its folded records. */
export function sessionOfRow(row: SqlRow): SessionState {
  const session = newSession(integerOf(row, "id"), textOf(row, "name"), textOf(row, "epoch"));
  session.head = integerOf(row, "head");
  session.foldedHead = session.head;
  session.headChecksum = integerOf(row, "head_checksum");
  session.first = integerOf(row, "first");
  session.bytes = integerOf(row, "bytes");
  session.lastActivityMs = integerOf(row, "last_activity_ms");
  return session;
}

export function logStateOf({ epoch, head, first, bytes, lastActivityMs }: SessionState): LogState {
  return { epoch, head, first, bytes, lastActivityMs };
}
