import { join } from "node:path";
import { createMemoryLog } from "../../durable/log-memory.ts";
import { openSqliteLog } from "../../durable/log-sqlite.ts";
import type { SessionLog } from "../../durable/session-log.ts";
import { contractAudience } from "./audience.ts";
import { appendSessions, measureAppends } from "./measure-appends.ts";
import { type FanoutLoad, measureFanout } from "./measure-fanout.ts";
import { measureLatency, writers } from "./measure-latency.ts";
import type { MeasuredProcess } from "./measured-process.ts";
import { startMeasuredRelay } from "./start-measured-relay.ts";
import { number, percentile } from "./statistics.ts";
import { withTempFolder } from "./temp-folder.ts";

/** One figure. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Under which conditions, and what else was seen. */
  readonly note: string;
}

export interface MeasureOptions {
  /** On the disk that SQLite is measured on. */
  readonly folder: string;
  readonly measureMs: number;
  /** Told what is measured next. */
  readonly begins: (what: string) => void;
}

const subscribers = 200;
const dataBytes = 100;

type Fanout = Pick<FanoutLoad, "connections" | "perSecond">;
const fanouts: readonly (Fanout & { readonly name: string })[] = [
  { name: "fan-out, 4 connections, full speed", connections: 4, perSecond: "full" },
  { name: "fan-out, 200 connections, full speed", connections: 200, perSecond: "full" },
  { name: "fan-out, 200 connections, 100 messages/s", connections: 200, perSecond: 100 },
];

/** What a relay does here: the relay alone, with its rates off. */
export async function measureAll({ folder, measureMs, begins }: MeasureOptions): Promise<readonly BenchRow[]> {
  const times = { warmUpMs: measureMs / 2, measureMs };
  const rows: BenchRow[] = [];
  for (const { name, ...load } of fanouts) {
    begins(name);
    const found = await withRelay("memory", (server) =>
      measureFanout(server, contractAudience(), { ...load, ...times, subscribers, dataBytes, window: 64 }),
    );
    const note = [
      `${subscribers} readers, ${dataBytes} B of data`,
      `${number(found.deliveriesPerSecond)} deliveries/s`,
      `${number(found.messagesPerWrite)} messages a write`,
      `cores: relay ${number(found.serverLoad)}, client ${number(found.clientLoad)}`,
    ].join("; ");
    rows.push({ name, value: found.usPerDelivery, unit: "us of CPU/delivery", note });
  }
  for (const log of ["memory", "SQLite"] as const) {
    begins(`latency, ${log} log`);
    const measure = (where: string) => withRelay(where, (server) => measureLatency(server, times));
    const { toAckMs, toReaderMs, lateMs, perSecond } =
      log === "memory" ? await measure("memory") : await withTempFolder(measure, folder);
    for (const [what, ms] of [
      ["ack", toAckMs],
      ["another reader", toReaderMs],
    ] as const) {
      rows.push({
        name: `edit to ${what}, ${log} log, p99`,
        value: percentile(ms, 0.99),
        unit: "ms",
        note:
          `p50 ${number(percentile(ms, 0.5))} ms; ${writers} writers on one file, ${number(perSecond)} edits/s; ` +
          `the client's own timer p99 ${number(percentile(lateMs, 0.99))} ms late`,
      });
    }
  }
  for (const log of ["memory", "SQLite"] as const) {
    begins(`appends, ${log} log`);
    const value =
      log === "memory"
        ? await appendFor(createMemoryLog(Date.now), measureMs)
        : await withTempFolder(async (where) => {
            const opened = await openSqliteLog({ path: join(where, "bench.sqlite"), now: Date.now });
            return await appendFor(opened, measureMs);
          }, folder);
    const durable = log === "SQLite" ? ", synced at each commit" : "";
    rows.push({
      name: `appends, ${log} log`,
      value,
      unit: "records/s",
      note: `${appendSessions} sessions at once, a record of 100 B each time${durable}`,
    });
  }
  return rows;
}

async function withRelay<T>(log: string, work: (server: MeasuredProcess) => Promise<T>): Promise<T> {
  const server = await startMeasuredRelay(log);
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

/** Rounds, until the time is over. */
async function appendFor(log: SessionLog, measureMs: number): Promise<number> {
  const appends = 50;
  const rates: number[] = [];
  for (const endMs = performance.now() + measureMs; performance.now() < endMs; ) {
    rates.push(await measureAppends(log, { appends, recordsPerAppend: 1 }));
  }
  await log.close();
  // Of rounds of the same size: the first is the warm-up.
  return percentile(rates, 0.5);
}

/** The table for people, notes below their rows. */
export function formatBenchRows(rows: readonly BenchRow[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows
    .map(({ name, value, unit, note }) => `${name.padEnd(width)}  ${number(value)} ${unit}\n    ${note}`)
    .join("\n");
}
