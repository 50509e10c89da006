import { BatonError } from "../session/reasons.ts";
import type { Revocation } from "../session/revocation.ts";
import { createDoorbells } from "./doorbells.ts";
import { type Answer, ask, askAgain } from "./object-answer.ts";
import type {
  AppendBatch,
  AppendOutcome,
  Claim,
  ClientKey,
  LogRecord,
  LogState,
  SessionListing,
  SessionLog,
  StoredRevocation,
  StoredSnapshot,
} from "./session-log.ts";

/** What the object of a session answers to, by RPC: `SessionLog`, for its own session. */
export interface SessionRpc {
  describe(sessionId: string): Promise<Answer<LogState | undefined>>;
  claim(sessionId: string, client: ClientKey, proposedEpoch: string): Promise<Answer<Claim>>;
  append(sessionId: string, batch: AppendBatch): Promise<Answer<AppendOutcome>>;
  read(
    sessionId: string,
    from: number,
    to: number,
    maxBytes: number,
    epoch?: string,
  ): Promise<Answer<readonly LogRecord[]>>;
  putSnapshot(sessionId: string, epoch: string, snapshot: StoredSnapshot): Promise<Answer<void>>;
  latestSnapshot(sessionId: string, atMost?: number): Promise<Answer<StoredSnapshot | undefined>>;
  dropSnapshot(sessionId: string, epoch: string, seq: number): Promise<Answer<void>>;
  trim(sessionId: string, epoch: string, throughSeq: number): Promise<Answer<void>>;
  renewEpoch(sessionId: string, expectedEpoch: string, newEpoch: string): Promise<Answer<string>>;
  /** Not `delete`, which RPC keeps for itself. */
  deleteSession(sessionId: string, untouchedSinceMs?: number): Promise<Answer<string>>;
}

/** What the one object for all sessions answers to. */
export interface DirectoryRpc {
  add(sessionId: string): Promise<Answer<void>>;
  remove(sessionId: string): Promise<Answer<void>>;
  /** Ids; of some the session may be gone. */
  names(prefix: string, after: string, limit: number): Promise<Answer<readonly string[]>>;
  secret(name: string, proposed: Uint8Array): Promise<Answer<Uint8Array>>;
  revoke(revocation: Revocation): Promise<Answer<void>>;
  revocations(after: number, limit: number): Promise<Answer<readonly StoredRevocation[]>>;
}

/** Finds objects. Each call makes a new stub. */
export interface ObjectStubs {
  session(sessionId: string): SessionRpc;
  directory(): DirectoryRpc;
}

/**
 * The log as it is seen from outside its sessions' objects: each call goes to the object of its session, what all share to
 * the directory. Nothing is written twice by itself: a call without an answer is LOG_UNAVAILABLE, and the caller, who sends
 * the same again, finds out. Its doorbells ring for what was appended through it; who wants to hear more polls the head.
 */
export function createObjectsLog(stubs: ObjectStubs): SessionLog {
  const doorbells = createDoorbells();
  let closed = false;
  const session = (sessionId: string): SessionRpc => {
    if (closed) throw new BatonError("LOG_UNAVAILABLE", "the log is closed");
    return stubs.session(sessionId);
  };
  const describe = (id: string) => askAgain(async () => session(id).describe(id));

  /** What the sessions themselves say: the directory has their names alone. */
  const listings = async (names: readonly string[]): Promise<SessionListing[]> => {
    const states = await Promise.all(names.map((sessionId) => describe(sessionId)));
    const found: SessionListing[] = [];
    for (const [index, sessionId] of names.entries()) {
      const state = states[index];
      if (state !== undefined) found.push({ sessionId, ...state });
      // Deletes nothing, since nothing is so old; the object of a session that is gone takes its name off the list.
      else await ask(async () => session(sessionId).deleteSession(sessionId, 0));
    }
    return found;
  };

  return {
    describe,
    claim: (id, client, epoch) => ask(async () => session(id).claim(id, client, epoch)),

    append: async (id, batch) => {
      // A frame may be a view of a larger memory, all of which would go along.
      const records = batch.records.map((record) => ({ ...record, frame: record.frame.slice() }));
      const outcome = await ask(async () => session(id).append(id, { ...batch, records }));
      if (outcome.kind === "appended") doorbells.ring(id, batch.expectedHead + batch.records.length);
      return outcome;
    },

    read: (id, from, to, maxBytes, epoch) => askAgain(async () => session(id).read(id, from, to, maxBytes, epoch)),
    putSnapshot: (id, epoch, snapshot) => ask(async () => session(id).putSnapshot(id, epoch, snapshot)),
    latestSnapshot: (id, atMost) => askAgain(async () => session(id).latestSnapshot(id, atMost)),
    dropSnapshot: (id, epoch, seq) => ask(async () => session(id).dropSnapshot(id, epoch, seq)),
    trim: (id, epoch, throughSeq) => ask(async () => session(id).trim(id, epoch, throughSeq)),

    renewEpoch: async (id, expectedEpoch, newEpoch) => {
      const epoch = await ask(async () => session(id).renewEpoch(id, expectedEpoch, newEpoch));
      doorbells.ring(id);
      return epoch;
    },

    watch: doorbells.watch,

    delete: async (id, untouchedSinceMs) => {
      const epoch = await ask(async () => session(id).deleteSession(id, untouchedSinceMs));
      if (epoch !== "") doorbells.ring(id);
      return epoch;
    },

    list: async (prefix, after, limit) => {
      const found: SessionListing[] = [];
      for (let last = after; found.length < limit; ) {
        const wanted = limit - found.length;
        const names = await askAgain(async () => stubs.directory().names(prefix, last, wanted));
        found.push(...(await listings(names)));
        last = names.at(-1) ?? last;
        if (names.length < wanted) break;
      }
      return found;
    },

    secret: (name, proposed) => ask(async () => stubs.directory().secret(name, proposed)),
    revoke: (revocation) => ask(async () => stubs.directory().revoke(revocation)),
    revocations: (after, limit) => askAgain(async () => stubs.directory().revocations(after, limit)),

    close: async () => {
      closed = true;
      doorbells.clear();
    },
  };
}
