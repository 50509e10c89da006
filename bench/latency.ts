import { join } from "node:path";
import { BareConnection, type BareStream } from "./bare-h2.ts";
import {
  collaborate,
  decodeMessage,
  encodeMessage,
  newTally,
  readToken,
  subscribe,
  until,
  writeToken,
} from "./calls.ts";
import { number, percentile, type Row } from "./row.ts";
import { ServerProcess } from "./server-process.ts";
import { withTempFolder } from "./temp-folder.ts";

const writers = 20;
const editsPerSecond = 1_000;
const warmUpMs = 1_500;
const measureMs = 4_000;

/** Edit to ack, and edit to another reader, in ms. */
export async function rows(): Promise<readonly Row[]> {
  const memory = rowsOf("memory log", await run("memory"), 3);
  const sqlite = await withTempFolder((folder) => run(join(folder, "baton.db")));
  return [...memory, ...rowsOf("SQLite log", sqlite, 5)];
}

interface Times {
  readonly toAckMs: readonly number[];
  readonly toReaderMs: readonly number[];
  readonly perSecond: number;
  readonly late: number;
}

function rowsOf(log: string, { toAckMs, toReaderMs, perSecond, late }: Times, p99Ms: number): Row[] {
  const row = (what: string, times: readonly number[]): Row => ({
    name: `edit to ${what}, ${log}, p99`,
    value: percentile(times, 0.99),
    unit: "ms",
    goal: { atMost: p99Ms },
    note:
      `p50 ${number(percentile(times, 0.5))} ms, most ${number(percentile(times, 1))} ms; ` +
      `${number(perSecond)} edits/s by ${writers} writers on one file; ${late} waited for their last one's ack`,
  });
  return [row("ack", toAckMs), row("another reader", toReaderMs)];
}

/** One who types into the file that all type into; its next edit waits for the ack of its last. */
class Writer {
  readonly #stream: BareStream;
  readonly #acked: (writer: number, sentMs: number) => void;
  readonly #index: number;
  #clientSeq = 0;
  #version = 0;
  #sentMs = 0;
  isJoined = false;
  isWaiting = false;

  constructor(
    connection: BareConnection,
    index: number,
    token: string,
    acked: (writer: number, sentMs: number) => void,
  ) {
    this.#index = index;
    this.#acked = acked;
    this.#stream = collaborate(connection, {
      token,
      tally: newTally(),
      join: { clientId: `w${index}` },
      onMessage: (bytes) => this.#hear(bytes),
    });
  }

  /** The client's number of the edit that it sends. */
  edit(): number {
    this.isWaiting = true;
    this.#clientSeq += 1;
    this.#sentMs = performance.now();
    const value = { filePath: "main.ts", version: this.#version, changes: [{ from: 0, to: 0, insert: "x" }] };
    this.#stream.send(encodeMessage({ case: "edit", value }, this.#clientSeq));
    return this.#clientSeq;
  }

  #hear(bytes: Uint8Array): void {
    const { payload } = decodeMessage(bytes);
    if (payload.case === "welcome") this.isJoined = true;
    if (payload.case === "snapshot") this.#version = payload.value.files[0]?.version ?? 0;
    if (payload.case === "edit") this.#version = payload.value.version;
    if (payload.case === "fault") throw new Error(`an edit was refused: ${payload.value.reason}`);
    if (payload.case !== "ack") return;
    this.#version = payload.value.version;
    this.isWaiting = false;
    this.#acked(this.#index, this.#sentMs);
  }
}

async function run(log: string): Promise<Times> {
  const server = await ServerProcess.start("relay", log);
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
    const acked = (_: number, at: number) => {
      if (isMeasuring) toAckMs.push(performance.now() - at);
    };
    // The file is there before the others join: only one may make it.
    for (let index = 0; index < writers; index++) {
      const writer = new Writer(await open(), index, await writeToken(`u${index}`), acked);
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
        sentMs.delete(`${clientId} ${clientSeq}`);
      },
    });
    await until(() => tally.messages >= 2, "the reader's join");

    let turn = 0;
    let late = 0;
    const startMs = performance.now();
    const timer = setInterval(() => {
      const due = ((performance.now() - startMs) * editsPerSecond) / 1000;
      for (; turn < due; turn++) {
        const writer = all[turn % writers];
        if (writer === undefined) continue;
        if (writer.isWaiting) late += 1;
        else sentMs.set(`w${turn % writers} ${writer.edit()}`, performance.now());
      }
    }, 1);
    await Bun.sleep(warmUpMs);
    late = 0;
    isMeasuring = true;
    await Bun.sleep(measureMs);
    isMeasuring = false;
    clearInterval(timer);
    return { toAckMs, toReaderMs, perSecond: (toAckMs.length * 1000) / measureMs, late };
  } finally {
    for (const connection of connections) connection.close();
    await server.stop();
  }
}
