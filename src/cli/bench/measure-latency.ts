import { setTimeout as sleep } from "node:timers/promises";
import { BareConnection } from "./bare-connection.ts";
import { newTally } from "./bare-stream.ts";
import { decodeMessage, readToken, subscribe, until, writeToken } from "./calls.ts";
import type { MeasuredProcess } from "./measured-process.ts";
import { type Seen, Writer } from "./writer.ts";

export const writers = 20;
const editsPerSecond = 1_000;

export interface Latency {
  readonly toAckMs: readonly number[];
  readonly toReaderMs: readonly number[];
  /** By how much this process's own timer, of 1 ms, came late: a part of what the other two tell. */
  readonly lateMs: readonly number[];
  readonly perSecond: number;
  /** Edits that were not sent, because their writer waited for the ack of its last. */
  readonly waited: number;
}

/** Edit to ack, and edit to another reader: `writers` who type into one file, 1,000 edits a second together. */
export async function measureLatency(
  server: MeasuredProcess,
  { warmUpMs, measureMs }: Readonly<Record<"warmUpMs" | "measureMs", number>>,
): Promise<Latency> {
  const connections: BareConnection[] = [];
  const open = async () => {
    const connection = await BareConnection.open(server.port);
    connections.push(connection);
    return connection;
  };
  const toAckMs: number[] = [];
  const toReaderMs: number[] = [];
  const sentMs = new Map<string, number>();
  let isMeasuring = false;
  try {
    const all: Writer[] = [];
    const lateMs: number[] = [];
    const seen: Seen = { version: 0 };
    const acked = (at: number) => {
      if (isMeasuring) toAckMs.push(performance.now() - at);
    };
    // The file is there before the others join: only one may make it.
    for (let index = 0; index < writers; index++) {
      const token = await writeToken(`u${index}`);
      const writer = new Writer(await open(), { token, clientId: `w${index}`, filePath: "main.ts", seen, acked });
      all.push(writer);
      await until(() => writer.isJoined, "a join");
      if (index > 0) continue;
      writer.edit();
      await until(() => !writer.isWaiting, "the first ack");
    }
    const tally = newTally();
    subscribe(await open(), {
      token: await readToken(),
      tally,
      onMessage(bytes) {
        const nowMs = performance.now();
        const { clientId, clientSeq, payload } = decodeMessage(bytes);
        const at = payload.case === "edit" ? sentMs.get(`${clientId} ${clientSeq}`) : undefined;
        if (at !== undefined && isMeasuring) toReaderMs.push(nowMs - at);
        if (payload.case === "edit") seen.version = Math.max(seen.version, payload.value.version);
        sentMs.delete(`${clientId} ${clientSeq}`);
      },
    });
    await until(() => tally.messages >= 2, "the reader's join");

    let turn = 0;
    let waited = 0;
    let lastMs = performance.now();
    const startMs = performance.now();
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (isMeasuring) lateMs.push(Math.max(0, nowMs - lastMs - 1));
      lastMs = nowMs;
      const due = ((nowMs - startMs) * editsPerSecond) / 1000;
      for (; turn < due; turn++) {
        const writer = all[turn % writers];
        if (writer === undefined) continue;
        if (writer.isWaiting) waited += 1;
        else sentMs.set(`w${turn % writers} ${writer.edit()}`, performance.now());
      }
    }, 1);
    await sleep(warmUpMs);
    waited = 0;
    isMeasuring = true;
    await sleep(measureMs);
    isMeasuring = false;
    clearInterval(timer);
    return { toAckMs, toReaderMs, perSecond: (toAckMs.length * 1000) / measureMs, lateMs, waited };
  } finally {
    for (const connection of connections) connection.close();
  }
}
