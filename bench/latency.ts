import { join } from "node:path";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { SessionMessageSchema } from "../src/gen/codereview/v1/codereview_pb.ts";
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
import { median, number, percentile, type Row, spread } from "./row.ts";
import { ServerProcess } from "./server-process.ts";
import { withTempFolder } from "./temp-folder.ts";

const writers = 20;
const editsPerSecond = 1_000;
const warmUpMs = 1_500;
const measureMs = 2_500;
const runs = 5;

/** Edit to ack, and edit to another reader, in ms. */
export async function rows(): Promise<readonly Row[]> {
  const memory: Times[] = [];
  const sqlite: Times[] = [];
  for (let index = 0; index < runs; index++) {
    memory.push(await run("memory"));
    sqlite.push(await withTempFolder((folder) => run(join(folder, "baton.db"))));
  }
  return [...rowsOf("memory log", memory, 3), ...rowsOf("SQLite log", sqlite, 5)];
}

interface Times {
  readonly toAckMs: readonly number[];
  readonly toReaderMs: readonly number[];
  /** By how much this process's own timer, of 1 ms, came late: a part of what the other two tell. */
  readonly lateMs: readonly number[];
  readonly perSecond: number;
  readonly waited: number;
}

function rowsOf(log: string, all: readonly Times[], p99Ms: number): Row[] {
  const over = (share: number, of: (times: Times) => readonly number[]) =>
    all.map((times) => percentile(of(times), share));
  const row = (what: string, of: (times: Times) => readonly number[]): Row => ({
    name: `edit to ${what}, ${log}, p99`,
    value: median(over(0.99, of)),
    unit: "ms",
    goal: { atMost: p99Ms },
    peer: { name: "the client's own timer, p99", value: median(over(0.99, ({ lateMs }) => lateMs)) },
    note:
      `runs ${spread(over(0.99, of))}, p50 ${number(median(over(0.5, of)))} ms, most ${number(Math.max(...over(1, of)))} ms; ` +
      `${number(median(all.map(({ perSecond }) => perSecond)))} edits/s by ${writers} writers on one file; ` +
      `${median(all.map(({ waited }) => waited))} waited for their last one's ack`,
  });
  return [row("ack", ({ toAckMs }) => toAckMs), row("another reader", ({ toReaderMs }) => toReaderMs)];
}

/** The newest version of the file that anybody here has seen. */
interface Seen {
  version: number;
}

const editField = SessionMessageSchema.field.edit.number;

/** Whether the message has an edit: told from its fields' numbers, 20,000 times a second. */
function isEdit(bytes: Uint8Array): boolean {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === editField && type === WireType.LengthDelimited) return true;
    reader.skip(type, field);
  }
  return false;
}

/** One who types into the file that all type into; its next edit waits for the ack of its last. */
class Writer {
  readonly #stream: BareStream;
  readonly #acked: (sentMs: number) => void;
  readonly #seen: Seen;
  #clientSeq = 0;
  #sentMs = 0;
  isJoined = false;
  isWaiting = false;

  constructor(connection: BareConnection, index: number, token: string, seen: Seen, acked: (sentMs: number) => void) {
    this.#seen = seen;
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
    const value = { filePath: "main.ts", version: this.#seen.version, changes: [{ from: 0, to: 0, insert: "x" }] };
    this.#stream.send(encodeMessage({ case: "edit", value }, this.#clientSeq));
    return this.#clientSeq;
  }

  #hear(bytes: Uint8Array): void {
    // The reader decodes these, for all.
    if (isEdit(bytes)) return;
    const { payload } = decodeMessage(bytes);
    if (payload.case === "welcome") this.isJoined = true;
    if (payload.case === "fault") throw new Error(`an edit was refused: ${payload.value.reason}`);
    if (payload.case !== "ack") return;
    this.#seen.version = Math.max(this.#seen.version, payload.value.version);
    this.isWaiting = false;
    this.#acked(this.#sentMs);
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
    const lateMs: number[] = [];
    const seen: Seen = { version: 0 };
    const acked = (at: number) => {
      if (isMeasuring) toAckMs.push(performance.now() - at);
    };
    // The file is there before the others join: only one may make it.
    for (let index = 0; index < writers; index++) {
      const writer = new Writer(await open(), index, await writeToken(`u${index}`), seen, acked);
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
    await Bun.sleep(warmUpMs);
    waited = 0;
    isMeasuring = true;
    await Bun.sleep(measureMs);
    isMeasuring = false;
    clearInterval(timer);
    return { toAckMs, toReaderMs, perSecond: (toAckMs.length * 1000) / measureMs, lateMs, waited };
  } finally {
    for (const connection of connections) connection.close();
    await server.stop();
  }
}
