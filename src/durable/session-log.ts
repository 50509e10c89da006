import type { Revocation } from "../session/revocation.ts";

/**
 * The port of a session's log. An engine stores opaque frames in one order, fences writers, and never serves a record
 * that is damaged. It knows nothing of edits or streams. Beside the sessions it keeps what all instances share: secrets,
 * and which tokens were revoked.
 *
 * Within an epoch a log only grows. An engine whose store may come back without its newest records remembers what was read
 * and written through it, finds that gone before it does anything else, and begins a new epoch.
 *
 * Every method may reject with a `BatonError`: `LOG_UNAVAILABLE` (busy, unreachable: nothing is known of the outcome),
 * `LOG_FULL` (nothing was written), `LOG_DAMAGED` (this session only).
 */

/** A writer: one device or tab of one user. */
export interface ClientKey {
  readonly userId: string;
  readonly clientId: string;
}

export interface LogRecord {
  /** 1, 2, 3, ... without a gap. */
  readonly seq: number;
  /** The enveloped frame, exactly as participants get it. Nobody may change its bytes, before or after an append. */
  readonly frame: Uint8Array;
  /** Of the payload as its client sent it, a 53-bit integer; tells a repeat from a reuse of its number. */
  readonly payloadHash: number;
}

/** Under which claim a client's records of a batch are written, and its last number once they are. */
export interface BatchWriter extends ClientKey {
  readonly generation: number;
  readonly lastClientSeq: number;
}

export interface AppendBatch {
  readonly epoch: string;
  /** The seq before the batch's first record. */
  readonly expectedHead: number;
  /** At least one; seqs are `expectedHead + 1`, `expectedHead + 2`, ... */
  readonly records: readonly LogRecord[];
  /** Every client that has a record in the batch, once. */
  readonly writers: readonly BatchWriter[];
}

export type AppendOutcome =
  /** All of the batch is durable. In every other case none of it is in the log. */
  | { readonly kind: "appended" }
  /** The head is not the expected one. What stands after `expectedHead`, up to about 1 MiB of it. */
  | { readonly kind: "conflict"; readonly records: readonly LogRecord[] }
  /** These clients have been claimed by a newer stream since. */
  | { readonly kind: "superseded"; readonly clients: readonly ClientKey[] }
  /** The session's history was replaced, or the session deleted (`epoch` is then empty). */
  | { readonly kind: "epoch"; readonly epoch: string };

/** What the store holds of a session. */
export interface LogState {
  readonly epoch: string;
  /** The last seq; 0 while nothing is logged. */
  readonly head: number;
  /** The first seq kept; `head + 1` when none is. */
  readonly first: number;
  /** Bytes of the frames kept. */
  readonly bytes: number;
  /** Of the last claim or append, ms since the Unix epoch. */
  readonly lastActivityMs: number;
}

export interface Claim {
  readonly epoch: string;
  /** Greater than every one given to this client before. Appends under an older one are refused from now on. */
  readonly generation: number;
  readonly head: number;
  /** The client's last number in the log; 0 = none, or forgotten. */
  readonly lastClientSeq: number;
}

export interface StoredSnapshot {
  /** The state after this record. */
  readonly seq: number;
  readonly bytes: Uint8Array;
}

export interface SessionListing extends LogState {
  readonly sessionId: string;
}

/** `head`: at least so far the log has come, in the epoch that it had then; undefined: not told. */
export type Ring = (head?: number) => void;

export interface StoredRevocation {
  /** 1, 2, 3, ... with gaps. Whoever has read up to a place finds nothing new before it, ever. */
  readonly place: number;
  readonly revocation: Revocation;
}

export interface SessionLog {
  /**
   * Undefined: there is no such session. It tells of the log that appends are compared with, never of a copy that may be
   * behind: on its word a history is given up.
   */
  describe(sessionId: string): Promise<LogState | undefined>;
  /** Makes the session, with the proposed epoch and an empty log, where there is none. */
  claim(sessionId: string, client: ClientKey, proposedEpoch: string): Promise<Claim>;
  /** Compare-and-append: the only way in. Resolves once the outcome is durable. */
  append(sessionId: string, batch: AppendBatch): Promise<AppendOutcome>;
  /**
   * Records `from`..`to`, both included, at most `maxBytes` of frames but at least one where there is one. Checked
   * against the chain. Empty where `from` is beyond the head. Rejects with `SEQ_OUT_OF_RANGE` where `from` was trimmed.
   * A copy that is behind may answer: then it ends early. With `epoch`, records of that history alone: rejects with
   * `EPOCH_CHANGED` where the session has another, or is not there.
   */
  read(sessionId: string, from: number, to: number, maxBytes: number, epoch?: string): Promise<readonly LogRecord[]>;
  /** Ignored where the session's epoch is another by now, or it is gone, or already has one at this seq. */
  putSnapshot(sessionId: string, epoch: string, snapshot: StoredSnapshot): Promise<void>;
  /** The newest one at or before `atMost` (default: the newest). */
  latestSnapshot(sessionId: string, atMost?: number): Promise<StoredSnapshot | undefined>;
  /**
   * Forgets the snapshot at this seq, unless the log was trimmed there: what is left is folded onto that one. Ignored
   * where the session's epoch is another.
   */
  dropSnapshot(sessionId: string, epoch: string, seq: number): Promise<void>;
  /**
   * Removes the records up to and including `throughSeq`, and the snapshots before it. Does nothing unless a snapshot
   * at exactly `throughSeq` is kept, so that what is left can always be folded, and the session's epoch is this one.
   */
  trim(sessionId: string, epoch: string, throughSeq: number): Promise<void>;
  /** Starts a new epoch where the present one is `expectedEpoch`; resolves with the one that then holds. */
  renewEpoch(sessionId: string, expectedEpoch: string, newEpoch: string): Promise<string>;
  /**
   * Rings when the session's head, or its epoch, may have moved. A doorbell only: it may ring late, twice, or not at all.
   * Where the engine knows, it says to which head: so whoever has come there, as the writer has, need not ask.
   */
  watch(sessionId: string, ring: Ring): () => void;
  /**
   * Resolves with the epoch that ended with it; empty: there was no such session. Where `untouchedSinceMs` is given, one
   * that was claimed or appended to since then stays, and so does one that is damaged; the answer is empty then too.
   */
  delete(sessionId: string, untouchedSinceMs?: number): Promise<string>;
  /** Sessions whose id begins with `prefix` and is greater than `after`, in the order of their ids. */
  list(prefix: string, after: string, limit: number): Promise<readonly SessionListing[]>;
  /** A secret that all instances on this store share: the proposed one where none was kept yet. */
  secret(name: string, proposed: Uint8Array): Promise<Uint8Array>;
  /**
   * Keeps a revocation, for good; resolves once it is durable. It takes the place of an earlier one of the same token or
   * user, and never takes a user's tokens back that were revoked before.
   */
  revoke(revocation: Revocation): Promise<void>;
  /** Those that came after a place, in the order of their places. */
  revocations(after: number, limit: number): Promise<readonly StoredRevocation[]>;
  close(): Promise<void>;
}
