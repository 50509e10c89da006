import { BareConnection } from "../../src/cli/bench/bare-connection.ts";
import { sessionOf, until, writeToken } from "../../src/cli/bench/calls.ts";
import { MeasuredProcess } from "../../src/cli/bench/measured-process.ts";
import { relayScript } from "../../src/cli/bench/start-measured-relay.ts";
import { type Seen, Writer } from "../../src/cli/bench/writer.ts";
import type { SessionMessage } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import { startRedis } from "../../test/support/redis-server.ts";
import { commandOf } from "../installed.ts";
import { readMetrics } from "../metrics.ts";

export interface Instances {
  readonly redisUrl: string;
  readonly relays: readonly MeasuredProcess[];
}

/** So many relays, each in a process of its own, on a Redis of their own that syncs what it acks. */
export async function withInstances<T>(
  runtime: RuntimeName,
  count: number,
  work: (instances: Instances) => Promise<T>,
): Promise<T> {
  const redis = await startRedis();
  const relays: MeasuredProcess[] = [];
  try {
    for (let index = 0; index < count; index++) {
      relays.push(await MeasuredProcess.start(...commandOf(runtime, relayScript, [redis.url])));
    }
    return await work({ redisUrl: redis.url, relays });
  } finally {
    await Promise.all(relays.map((relay) => relay.stop()));
    await redis.dispose();
  }
}

/** Who writes, and where. */
export interface Crowd {
  readonly sessions: number;
  readonly writersPerSession: number;
  /** All of a session type into one file; otherwise each into one of its own. */
  readonly isOneFile: boolean;
}

export interface Place {
  readonly writer: Writer;
  readonly clientId: string;
  readonly session: string;
  /** Index of the relay at which it writes. */
  readonly relay: number;
}

export interface Told {
  /** One of this relay got the ack of what it sent then. */
  readonly acked: (sentMs: number, relay: number, place: number) => void;
  /** The participants of a session at this relay were told of another's edit. */
  readonly heard?: (message: SessionMessage, relay: number) => void;
}

/** Joins them: those of a session stand on as many relays as there are, one after the other. */
export async function openWriters(
  relays: readonly MeasuredProcess[],
  { sessions, writersPerSession, isOneFile }: Crowd,
  { acked, heard }: Told,
): Promise<{ readonly places: readonly Place[]; close(): void }> {
  const connections: BareConnection[] = [];
  const joinSession = async (index: number): Promise<readonly Place[]> => {
    const session = sessionOf(index);
    const seenAt = new Map<number, Seen>();
    const places: Place[] = [];
    for (let n = 0; n < writersPerSession; n++) {
      const relay = (index + n) % relays.length;
      const server = relays[relay];
      if (server === undefined) throw new Error("there is no relay");
      const connection = await BareConnection.open(server.port);
      connections.push(connection);
      // One decodes for all at a relay what they are told of each other's edits.
      const isFirstHere = !seenAt.has(relay);
      const shared = seenAt.get(relay) ?? { version: 0 };
      seenAt.set(relay, shared);
      const seen = isOneFile ? shared : { version: 0 };
      const clientId = `w${n}`;
      const place = index * writersPerSession + n;
      const hear = (message: SessionMessage) => {
        const { payload } = message;
        if (isOneFile && payload.case === "edit") seen.version = Math.max(seen.version, payload.value.version);
        heard?.(message, relay);
      };
      const writer = new Writer(connection, {
        token: await writeToken(`u${n}`),
        clientId,
        session,
        filePath: isOneFile ? "main.ts" : `file-${n}.ts`,
        seen,
        acked: (sentMs) => acked(sentMs, relay, place),
        heard: isFirstHere && (isOneFile || heard !== undefined) ? hear : undefined,
      });
      places.push({ writer, clientId, session, relay });
      await until(() => writer.isJoined, "a join");
      // The file is there before the others join, who are told of it: only one may make it.
      if (isOneFile && n > 0) {
        await until(() => seen.version > 0, "the file");
        continue;
      }
      writer.edit();
      await until(() => !writer.isWaiting, "the first ack");
    }
    return places;
  };
  try {
    const joined = await Promise.all(Array.from({ length: sessions }, (_, index) => joinSession(index)));
    return {
      places: joined.flat(),
      close() {
        for (const connection of connections) connection.close();
      },
    };
  } catch (error) {
    for (const connection of connections) connection.close();
    throw error;
  }
}

/** Appends that the relays tried until now, and those of them that the log took. */
export async function countAppends(
  relays: readonly MeasuredProcess[],
): Promise<{ readonly tried: number; readonly taken: number }> {
  const all = await Promise.all(relays.map(({ port }) => readMetrics(port)));
  const sum = (labels: string) => all.reduce((total, metrics) => total + metrics.sum("baton_appends_total", labels), 0);
  return { tried: sum(""), taken: sum("appended") };
}

/** Cores that each of them has used on average, from one reading of their CPU times to another. */
export async function measureCores(relays: readonly MeasuredProcess[]): Promise<() => Promise<readonly number[]>> {
  const read = async () => (await Promise.all(relays.map((relay) => relay.usage()))).map(({ cpuUs }) => cpuUs);
  const before = await read();
  const startMs = performance.now();
  return async () => {
    const after = await read();
    const tookUs = (performance.now() - startMs) * 1000;
    return after.map((cpuUs, index) => (cpuUs - (before[index] ?? 0)) / tookUs);
  };
}
