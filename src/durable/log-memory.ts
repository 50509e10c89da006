import { BatonError } from "../session/reasons.ts";
import { assertBatch, conflictBytes, takeBytes } from "./append-rules.ts";
import { clientKeyText } from "./client-key.ts";
import { createDoorbells } from "./doorbells.ts";
import { createRevocationList } from "./revocation-list.ts";
import type {
  AppendBatch,
  AppendOutcome,
  ClientKey,
  LogRecord,
  LogState,
  SessionLog,
  StoredSnapshot,
} from "./session-log.ts";

interface MemoryClient {
  generation: number;
  lastClientSeq: number;
}

interface MemorySession {
  epoch: string;
  /** Records from `first` on; the one of seq `n` is at `n - first`. */
  records: LogRecord[];
  first: number;
  bytes: number;
  lastActivityMs: number;
  readonly clients: Map<string, MemoryClient>;
  /** In the order of their seqs. */
  snapshots: StoredSnapshot[];
}

const headOf = (session: MemorySession) => session.first + session.records.length - 1;

function stateOf(session: MemorySession): LogState {
  const { epoch, first, bytes, lastActivityMs } = session;
  return { epoch, head: headOf(session), first, bytes, lastActivityMs };
}

function readFrom(session: MemorySession, from: number, to: number, maxBytes: number): LogRecord[] {
  return [...takeBytes(session.records.slice(from - session.first, to - session.first + 1), maxBytes)];
}

/**
 * A log that lives as long as its process: for tests, measurements and sessions that nobody needs to keep. It has no
 * checksums and forgets no client, as nothing in it outlives what could go wrong with it.
 */
export function createMemoryLog(now: () => number): SessionLog {
  const sessions = new Map<string, MemorySession>();
  const secrets = new Map<string, Uint8Array>();
  const revocations = createRevocationList();
  const doorbells = createDoorbells();
  // One count for all clients of all sessions: a deleted session's generations never come again.
  let lastGeneration = 0;
  let closed = false;

  const assertOpen = () => {
    if (closed) throw new BatonError("LOG_UNAVAILABLE", "the log is closed");
  };

  const append = (sessionId: string, batch: AppendBatch): AppendOutcome => {
    assertBatch(batch);
    const session = sessions.get(sessionId);
    if (session?.epoch !== batch.epoch) return { kind: "epoch", epoch: session?.epoch ?? "" };
    const { expectedHead } = batch;
    if (expectedHead !== headOf(session)) {
      const known = expectedHead + 1 >= session.first;
      return {
        kind: "conflict",
        records: known ? readFrom(session, expectedHead + 1, headOf(session), conflictBytes) : [],
      };
    }
    const writers: (readonly [MemoryClient, lastClientSeq: number])[] = [];
    const superseded: ClientKey[] = [];
    for (const { userId, clientId, generation, lastClientSeq } of batch.writers) {
      const client = session.clients.get(clientKeyText({ userId, clientId }));
      if (client?.generation === generation) writers.push([client, lastClientSeq]);
      else superseded.push({ userId, clientId });
    }
    if (superseded.length > 0) return { kind: "superseded", clients: superseded };
    for (const [client, lastClientSeq] of writers) client.lastClientSeq = lastClientSeq;
    for (const record of batch.records) {
      session.records.push(record);
      session.bytes += record.frame.length;
    }
    session.lastActivityMs = now();
    doorbells.ring(sessionId, headOf(session));
    return { kind: "appended" };
  };

  return {
    async describe(sessionId) {
      assertOpen();
      const session = sessions.get(sessionId);
      return session && stateOf(session);
    },

    async claim(sessionId, key, proposedEpoch) {
      assertOpen();
      let session = sessions.get(sessionId);
      if (session === undefined) {
        session = {
          epoch: proposedEpoch,
          records: [],
          first: 1,
          bytes: 0,
          lastActivityMs: 0,
          clients: new Map(),
          snapshots: [],
        };
        sessions.set(sessionId, session);
      }
      session.lastActivityMs = now();
      const lastClientSeq = session.clients.get(clientKeyText(key))?.lastClientSeq ?? 0;
      const generation = ++lastGeneration;
      session.clients.set(clientKeyText(key), { generation, lastClientSeq });
      return { epoch: session.epoch, generation, head: headOf(session), lastClientSeq };
    },

    async append(sessionId, batch) {
      assertOpen();
      return append(sessionId, batch);
    },

    async read(sessionId, from, to, maxBytes, epoch) {
      assertOpen();
      const session = sessions.get(sessionId);
      if (epoch !== undefined && session?.epoch !== epoch) throw new BatonError("EPOCH_CHANGED");
      if (session === undefined || from > headOf(session)) return [];
      if (from < session.first) throw new BatonError("SEQ_OUT_OF_RANGE");
      return readFrom(session, from, to, maxBytes);
    },

    async putSnapshot(sessionId, epoch, snapshot) {
      assertOpen();
      const session = sessions.get(sessionId);
      if (session?.epoch !== epoch || snapshot.seq > headOf(session) || snapshot.seq < session.first - 1) return;
      if (session.snapshots.some(({ seq }) => seq === snapshot.seq)) return;
      session.snapshots.push(snapshot);
      session.snapshots.sort((a, b) => a.seq - b.seq);
    },

    async latestSnapshot(sessionId, atMost = Number.POSITIVE_INFINITY) {
      assertOpen();
      return sessions.get(sessionId)?.snapshots.findLast(({ seq }) => seq <= atMost);
    },

    async dropSnapshot(sessionId, epoch, seq) {
      assertOpen();
      const session = sessions.get(sessionId);
      if (session?.epoch !== epoch || seq === session.first - 1) return;
      session.snapshots = session.snapshots.filter((snapshot) => snapshot.seq !== seq);
    },

    async trim(sessionId, epoch, throughSeq) {
      assertOpen();
      const session = sessions.get(sessionId);
      if (session?.epoch !== epoch || throughSeq < session.first) return;
      if (!session.snapshots.some(({ seq }) => seq === throughSeq)) return;
      const removed = session.records.splice(0, throughSeq - session.first + 1);
      for (const { frame } of removed) session.bytes -= frame.length;
      session.first = throughSeq + 1;
      session.snapshots = session.snapshots.filter(({ seq }) => seq >= throughSeq);
    },

    async renewEpoch(sessionId, expectedEpoch, newEpoch) {
      assertOpen();
      const session = sessions.get(sessionId);
      if (session === undefined) return "";
      if (session.epoch === expectedEpoch) {
        session.epoch = newEpoch;
        doorbells.ring(sessionId);
      }
      return session.epoch;
    },

    watch: doorbells.watch,

    async delete(sessionId, untouchedSinceMs = Number.POSITIVE_INFINITY) {
      assertOpen();
      const session = sessions.get(sessionId);
      if (session === undefined || session.lastActivityMs >= untouchedSinceMs) return "";
      sessions.delete(sessionId);
      doorbells.ring(sessionId);
      return session.epoch;
    },

    async list(prefix, after, limit) {
      assertOpen();
      return [...sessions.keys()]
        .filter((id) => id.startsWith(prefix) && id > after)
        .sort()
        .slice(0, limit)
        .flatMap((sessionId) => {
          const session = sessions.get(sessionId);
          return session === undefined ? [] : [{ sessionId, ...stateOf(session) }];
        });
    },

    async secret(name, proposed) {
      assertOpen();
      const kept = secrets.get(name) ?? proposed.slice();
      secrets.set(name, kept);
      return kept;
    },

    async revoke(revocation) {
      assertOpen();
      revocations.put(revocation);
    },

    async revocations(after, limit) {
      assertOpen();
      return revocations.after(after, limit);
    },

    async close() {
      closed = true;
      doorbells.clear();
    },
  };
}
