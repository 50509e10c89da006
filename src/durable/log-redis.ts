import { defaultLimits } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import { assertBatch } from "./append-rules.ts";
import { appendBatch, clientField } from "./redis-append.ts";
import type { RedisConnection } from "./redis-connection.ts";
import { createRedisKeys } from "./redis-keys.ts";
import { takeRecords } from "./redis-read.ts";
import { keepRevocation, readRevocations } from "./redis-revocations.ts";
import { claimScript } from "./redis-scripts/claim.ts";
import { deleteScript, renewEpochScript, secretScript } from "./redis-scripts/maintain.ts";
import { describeScript, readScript } from "./redis-scripts/read.ts";
import { dropSnapshotScript } from "./redis-scripts/snapshots.ts";
import { listOf, numberOf, type RedisSession, RedisSessions, textOf } from "./redis-session.ts";
import { findSnapshot, putSnapshot, toBase64 } from "./redis-snapshots.ts";
import { trimRecords } from "./redis-trim.ts";
import type { LogState, SessionLog } from "./session-log.ts";

export interface RedisLogOptions {
  readonly connection: RedisConnection;
  /** Of every key and channel; without braces. Logs of different prefixes know nothing of each other. */
  readonly prefix: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** How long a client's last number is kept after its last claim or append. */
  readonly clientTtlMs?: number;
}

export interface RedisLog extends SessionLog {
  /** How many epochs began by a call from here, because the server had lost records that were read or written here. */
  epochsBegun(): number;
}

/**
 * The log in a Redis, for as many instances as there are. Whatever changes a session is one script, so it happens whole or
 * not at all, and in one order. What an Ack means is what the server's persistence gives.
 *
 * The connection is the log's from now on, and is closed with it.
 */
export function createRedisLog(options: RedisLogOptions): RedisLog {
  const { connection, prefix, now, clientTtlMs = defaultLimits.clientTtlMs } = options;
  const keys = createRedisKeys(prefix);
  const sessions = new RedisSessions(connection, keys);
  let isClosed = false;

  const assertOpen = () => {
    if (isClosed) throw new BatonError("LOG_UNAVAILABLE", "the log is closed");
  };

  const describe = async (sessionId: string): Promise<RedisSession | undefined> =>
    (await sessions.run(describeScript, sessionId, [])).session;

  /** Generations and places count on from this at least: also where the server lost what it had counted to. */
  const leastCount = () => now() * 1_000;

  return {
    async describe(sessionId) {
      assertOpen();
      const session = await describe(sessionId);
      return session && logStateOf(session);
    },

    async claim(sessionId, client, proposedEpoch) {
      assertOpen();
      const atMs = now();
      const { session, rest } = await sessions.run(
        claimScript,
        sessionId,
        [sessionId, clientField(client), proposedEpoch, String(atMs), String(leastCount()), String(atMs - clientTtlMs)],
        [keys.sessions, keys.generation],
      );
      if (session === undefined) throw new BatonError("LOG_DAMAGED");
      sessions.assertSound(session.epoch);
      const [generation, lastClientSeq] = rest.map(numberOf);
      if (generation === undefined || lastClientSeq === undefined) throw new BatonError("LOG_DAMAGED");
      return { epoch: session.epoch, generation, head: session.head, lastClientSeq };
    },

    async append(sessionId, batch) {
      assertOpen();
      assertBatch(batch);
      sessions.assertSound(batch.epoch);
      return await appendBatch(sessions, sessionId, batch, now());
    },

    async read(sessionId, from, to, maxBytes, epoch) {
      assertOpen();
      const seen = sessions.seen(sessionId);
      const limits = [to, maxBytes].map((limit) => String(Math.min(limit, Number.MAX_SAFE_INTEGER)));
      const { session, kind, rest } = await sessions.run(readScript, sessionId, [String(from), ...limits]);
      sessions.assertSound(session?.epoch);
      if (epoch !== undefined && session?.epoch !== epoch) throw new BatonError("EPOCH_CHANGED");
      if (session === undefined || kind === "nothing" || to < from) return [];
      if (kind === "trimmed") throw new BatonError("SEQ_OUT_OF_RANGE");
      const range = { from, to: Math.min(to, session.head), maxBytes, seen };
      const records = await takeRecords(sessions, sessionId, session, rest[0], range);
      if (records === undefined) throw new BatonError("EPOCH_CHANGED");
      return records;
    },

    async putSnapshot(sessionId, epoch, snapshot) {
      assertOpen();
      sessions.assertSound(epoch);
      await putSnapshot(sessions, sessionId, epoch, snapshot);
    },

    async latestSnapshot(sessionId, atMost = Number.MAX_SAFE_INTEGER) {
      assertOpen();
      return (await findSnapshot(sessions, sessionId, atMost)).snapshot;
    },

    async dropSnapshot(sessionId, epoch, seq) {
      assertOpen();
      sessions.assertSound(epoch);
      await sessions.run(dropSnapshotScript, sessionId, [epoch, String(seq)]);
    },

    async trim(sessionId, epoch, throughSeq) {
      assertOpen();
      sessions.assertSound(epoch);
      await trimRecords(sessions, sessionId, epoch, throughSeq);
    },

    async renewEpoch(sessionId, expectedEpoch, newEpoch) {
      assertOpen();
      sessions.assertSound(expectedEpoch);
      const { session } = await sessions.run(renewEpochScript, sessionId, [expectedEpoch, newEpoch]);
      return session?.epoch ?? "";
    },

    epochsBegun: () => sessions.epochsBegun,

    watch: (sessionId, ring) =>
      connection.subscribe(keys.doorbell(sessionId), {
        open: () => ring(),
        message: (head) => ring(headIn(head)),
      }),

    async delete(sessionId, untouchedSinceMs) {
      assertOpen();
      const isByAge = untouchedSinceMs !== undefined;
      const present = isByAge ? await describe(sessionId) : undefined;
      if (present !== undefined && sessions.isDamaged(present.epoch)) return "";
      const args = [sessionId, isByAge ? String(untouchedSinceMs) : ""];
      const { session, kind } = await sessions.run(deleteScript, sessionId, args, [keys.sessions]);
      if (kind !== "deleted") return "";
      sessions.forget(sessionId);
      return session?.epoch ?? "";
    },

    async list(prefixOfIds, after, limit) {
      assertOpen();
      const from = after >= prefixOfIds ? `(${after}` : `[${prefixOfIds}`;
      const range = [from, `(${prefixOfIds}\u{10ffff}`, "BYLEX", "LIMIT", "0", String(limit)];
      const ids = listOf(await connection.command("ZRANGE", keys.sessions, ...range)).map(textOf);
      const found = await Promise.all(ids.map(describe));
      return ids.flatMap((sessionId, index) => {
        const session = found[index];
        return session === undefined ? [] : [{ sessionId, ...logStateOf(session) }];
      });
    },

    async secret(name, proposed) {
      assertOpen();
      const kept = await connection.run(secretScript, [keys.secrets], [name, toBase64(proposed)]);
      return Buffer.from(textOf(kept), "base64");
    },

    async revoke(revocation) {
      assertOpen();
      await keepRevocation(connection, keys, revocation, leastCount());
    },

    async revocations(after, limit) {
      assertOpen();
      return await readRevocations(connection, keys, after, limit);
    },

    async close() {
      if (isClosed) return;
      isClosed = true;
      await connection.close();
    },
  };
}

/** What a doorbell says; undefined: nothing that could be a head. */
function headIn(text: string): number | undefined {
  const head = text === "" ? Number.NaN : Number(text);
  return Number.isSafeInteger(head) ? head : undefined;
}

function logStateOf({ epoch, head, first, bytes, lastActivityMs }: RedisSession): LogState {
  return { epoch, head, first, bytes, lastActivityMs };
}
