import { fileURLToPath } from "node:url";
import { z } from "zod";
import { median, percentile } from "../../src/cli/bench/statistics.ts";
import { Workerd } from "../../test/workerd/harness.ts";
import { pause, until } from "../../trial/until.ts";
import { progress } from "../progress.ts";
import type { Row } from "../row.ts";
import { benchSecret, SessionSocket } from "./session-socket.ts";

const session = "hot";
const editsPerSecond = 2;
/** Joins under way at once. */
const joiningAtOnce = 50;

const counted = z.object({ sockets: z.number(), below: z.array(z.string()) });

/** One session's readers in a tree of objects, while somebody types: who holds how many, and that nobody misses anything. */
export async function measureReaders(count: number, seconds: number): Promise<readonly Row[]> {
  const workerd = await Workerd.start({
    entry: fileURLToPath(new URL("readers-worker.ts", import.meta.url)),
    objects: { SESSIONS: "CountedSession", REPLICAS: "CountedReplica", DIRECTORY: "DirectoryObject" },
    variables: { BATON_JWT_SECRET: benchSecret },
  });
  try {
    const { url } = workerd;
    const writer = await SessionSocket.join({ url, session, sub: "writer", scope: "session:edit" });
    const startMs = performance.now();
    const readers = await joinAll(url, count);
    const joinedMs = performance.now() - startMs;
    const typed = await type(writer, readers, Math.round(seconds * editsPerSecond));
    const objects = await countSockets(url);
    const sockets = [...objects.values()];
    const ended = readers.filter((reader) => reader.ended !== undefined).length;
    console.log([...objects].map(([name, has]) => `  ${name.padEnd(24)} ${has} sockets`).join("\n"));
    console.log(
      `  ${typed.complete} of ${readers.length} readers got each of ${typed.records} records once and in order; ${ended} streams ended`,
    );
    return [
      {
        name: `objects for ${readers.length} readers`,
        value: sockets.length,
        unit: "objects",
        note: `joined in ${(joinedMs / 1000).toFixed(1)} s`,
      },
      { name: "sockets of the object that has the most", value: Math.max(...sockets), unit: "sockets" },
      {
        name: "readers that got each record once, in order",
        value: typed.complete,
        unit: "readers",
        goal: { atLeast: readers.length },
        note: `${typed.records} edits, ${editsPerSecond} a second; ${ended} streams ended`,
      },
      {
        name: "from an edit to its last reader, median",
        value: median(typed.lastMs),
        unit: "ms",
        note: `p99 ${percentile(typed.lastMs, 0.99).toFixed(0)} ms; the ack ${median(typed.ackMs).toFixed(1)} ms. workerd runs all objects and all gateways in one thread`,
      },
    ];
  } catch (error) {
    console.error(workerd.output.slice(-2_000));
    throw error;
  } finally {
    await workerd.dispose();
  }
}

class Reader {
  readonly socket: SessionSocket;
  last = 0;
  isInOrder = true;

  constructor(socket: SessionSocket, got: (seq: number) => void) {
    this.socket = socket;
    socket.heard = ({ seq }) => {
      if (seq === 0n) return;
      const next = Number(seq);
      if (next !== this.last + 1) this.isInOrder = false;
      this.last = next;
      got(next);
    };
  }

  get ended(): string | undefined {
    return this.socket.ended;
  }
}

/** When each record had come to how many. */
const arrivals = new Map<number, { count: number; lastAtMs: number }>();

function arrived(seq: number): void {
  const arrival = arrivals.get(seq) ?? { count: 0, lastAtMs: 0 };
  arrival.count += 1;
  arrival.lastAtMs = performance.now();
  arrivals.set(seq, arrival);
}

/** As many as the machine carries: workerd opens two files for each stream, of which a process may have only so many. */
async function joinAll(url: string, count: number): Promise<Reader[]> {
  const readers: Reader[] = [];
  let begun = 0;
  let refused: unknown;
  const join = async () => {
    while (begun < count && refused === undefined) {
      const sub = `reader-${begun++}`;
      try {
        readers.push(new Reader(await SessionSocket.join({ url, session, sub, scope: "session:read" }), arrived));
      } catch (error) {
        refused = error;
      }
      progress(`${readers.length} of ${count} readers joined`);
    }
  };
  await Promise.all(Array.from({ length: joiningAtOnce }, join));
  progress("");
  if (refused !== undefined)
    console.log(`  after ${readers.length} readers the next did not get in: ${String(refused)}`);
  return readers;
}

async function type(writer: SessionSocket, readers: readonly Reader[], edits: number) {
  const saidAtMs: number[] = [];
  const ackMs: number[] = [];
  let acked = 0;
  writer.heard = ({ payload }) => {
    if (payload.case === "fault") throw new Error(`an edit was refused: ${payload.value.reason}`);
    if (payload.case !== "ack") return;
    acked = Number(payload.value.clientSeq);
    ackMs.push(performance.now() - (saidAtMs[acked] ?? 0));
  };
  for (let edit = 1; edit <= edits; edit++) {
    const insert = `line ${edit}\n`;
    saidAtMs[edit] = performance.now();
    const changes = [{ from: 0, to: 0, insert }];
    writer.say({ case: "edit", value: { filePath: "main.ts", version: edit - 1, changes } }, edit);
    await until(`edit ${edit} is acked`, () => acked === edit, 60_000);
    await pause(Math.max(0, 1000 / editsPerSecond - (performance.now() - (saidAtMs[edit] ?? 0))));
  }
  const isDone = () => readers.every(({ last, ended }) => last === edits || ended !== undefined);
  await until("all have all", isDone, 60_000).catch(() => undefined);
  const lastMs = [...arrivals].map(([seq, { lastAtMs }]) => lastAtMs - (saidAtMs[seq] ?? 0));
  const complete = readers.filter(({ last, isInOrder }) => last === edits && isInOrder).length;
  return { records: edits, complete, lastMs, ackMs };
}

async function countSockets(url: string): Promise<Map<string, number>> {
  const objects = new Map<string, number>();
  const ask = async (name: string): Promise<void> => {
    const response = await fetch(`${url}/count/${encodeURIComponent(name)}`);
    const { sockets, below } = counted.parse(await response.json());
    objects.set(name, sockets);
    for (const child of below) await ask(child);
  };
  await ask(session);
  return objects;
}
