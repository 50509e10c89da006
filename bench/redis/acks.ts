import { setTimeout as sleep } from "node:timers/promises";
import { median, number, percentile, spread } from "../../src/cli/bench/statistics.ts";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import { progress } from "../progress.ts";
import { type BenchOptions, nameOf, type Row } from "../row.ts";
import { appendBarely, startPings } from "./bare-script.ts";
import { type Crowd, type Instances, measureCores, openWriters, withInstances } from "./instances.ts";

const instances = 4;
const editsPerSecond = 1_000;
/** So many processes share the cores while each compiles what it runs. */
const warmUpMs = 10_000;
const measureMs = 5_000;
const floorMs = 1_000;
const goalMs = 5;

interface Load extends Crowd {
  readonly name: string;
}

const loads: readonly Load[] = [
  { name: "1 session of 20", sessions: 1, writersPerSession: 20, isOneFile: true },
  { name: "100 sessions of 2", sessions: 100, writersPerSession: 2, isOneFile: true },
];

interface Acks {
  readonly toAckMs: readonly number[];
  /** To those who are at another instance. */
  readonly toOtherMs: readonly number[];
  /** By how much this process's own timer, of 1 ms, came late: a part of what the other two tell. */
  readonly lateMs: readonly number[];
  readonly pingMs: readonly number[];
  readonly floorMs: readonly number[];
  readonly perSecond: number;
  /** Edits that were not sent, because their writer waited for the ack of its last. */
  readonly waited: number;
  /** Of all relays together. */
  readonly cores: number;
}

/** Edit to ack, and to those at another instance, where all write at a fixed rate. */
export async function rows({ runtimes, runs }: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const runtime of runtimes) {
    for (const load of loads) {
      const results: Acks[] = [];
      for (let run = 0; run < runs; run++) {
        progress(`acks, ${load.name}: ${nameOf(runtime)}, run ${run + 1} of ${runs}`);
        results.push(await withInstances(runtime, instances, (found) => measureAcks(found, load)));
      }
      all.push(...rowsOf(load, runtime, results));
    }
  }
  return all;
}

async function measureAcks({ relays, redisUrl }: Instances, load: Load): Promise<Acks> {
  const floor = await appendBarely(redisUrl, floorMs);
  const toAckMs: number[] = [];
  const toOtherMs: number[] = [];
  const lateMs: number[] = [];
  const sent = new Map<string, { readonly atMs: number; readonly relay: number }>();
  let isMeasuring = false;
  const { places, close } = await openWriters(relays, load, {
    acked(sentMs) {
      if (isMeasuring) toAckMs.push(performance.now() - sentMs);
    },
    heard({ sessionId, clientId, clientSeq }, relay) {
      const origin = sent.get(`${sessionId} ${clientId} ${clientSeq}`);
      if (isMeasuring && origin !== undefined && origin.relay !== relay)
        toOtherMs.push(performance.now() - origin.atMs);
    },
  });
  try {
    const pings = await startPings(redisUrl);
    let turn = 0;
    let waited = 0;
    let lastMs = performance.now();
    const startMs = lastMs;
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (isMeasuring) lateMs.push(Math.max(0, nowMs - lastMs - 1));
      lastMs = nowMs;
      const due = ((nowMs - startMs) * editsPerSecond) / 1000;
      for (; turn < due; turn++) {
        const place = places[turn % places.length];
        if (place === undefined) continue;
        const { writer, session, clientId, relay } = place;
        if (writer.isWaiting) waited += 1;
        else sent.set(`${session} ${clientId} ${writer.edit()}`, { atMs: performance.now(), relay });
      }
    }, 1);
    await sleep(warmUpMs);
    waited = 0;
    const cores = await measureCores(relays);
    isMeasuring = true;
    await sleep(measureMs);
    isMeasuring = false;
    clearInterval(timer);
    const used = await cores();
    return {
      toAckMs,
      toOtherMs,
      lateMs,
      pingMs: await pings.stop(),
      floorMs: floor,
      perSecond: (toAckMs.length * 1000) / measureMs,
      waited,
      cores: used.reduce((sum, one) => sum + one, 0),
    };
  } finally {
    close();
  }
}

function rowsOf({ name }: Load, runtime: RuntimeName, all: readonly Acks[]): Row[] {
  const over = (share: number, of: (acks: Acks) => readonly number[]) => all.map((acks) => percentile(of(acks), share));
  const mid = (share: number, of: (acks: Acks) => readonly number[]) => median(over(share, of));
  const row = (what: string, of: (acks: Acks) => readonly number[]): Row => ({
    name: `edit to ${what}, p99, Redis, ${instances} instances, ${name}, ${nameOf(runtime)}`,
    value: mid(0.99, of),
    unit: "ms",
    peer: { name: "a bare script alone, p99", value: mid(0.99, ({ floorMs: floor }) => floor) },
    note: [
      `runs ${spread(over(0.99, of))}, p50 ${number(mid(0.5, of))} ms, most ${number(Math.max(...over(1, of)))} ms`,
      `${number(median(all.map(({ perSecond }) => perSecond)))} edits/s, ${median(all.map(({ waited }) => waited))} waited for their last one's ack`,
      `beside it p99: PING ${number(mid(0.99, ({ pingMs }) => pingMs))} ms, the client's own timer ${number(mid(0.99, ({ lateMs }) => lateMs))} ms late`,
      `bare script p50 ${number(mid(0.5, ({ floorMs: floor }) => floor))} ms`,
      `cores of all relays ${number(median(all.map(({ cores }) => cores)))}`,
    ].join("; "),
  });
  return [
    { ...row("ack", ({ toAckMs }) => toAckMs), goal: { atMost: goalMs } },
    row("those at another instance", ({ toOtherMs }) => toOtherMs),
  ];
}
