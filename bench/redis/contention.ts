import { setTimeout as sleep } from "node:timers/promises";
import { median, number, percentile, spread } from "../../src/cli/bench/statistics.ts";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import { progress } from "../progress.ts";
import { type BenchOptions, nameOf, type Row } from "../row.ts";
import { raceBarely, startPings } from "./bare-script.ts";
import { countAppends, type Instances, measureCores, openWriters, withInstances } from "./instances.ts";

const instances = 8;
const writersEach = 8;
/** So many processes share the cores while each compiles what it runs. */
const warmUpMs = 10_000;
const measureMs = 5_000;
const floorMs = 1_000;
const goals = { perSecond: 2_000, slowestMs: 2_000 };

interface Race {
  /** Acked edits of the writers at each instance. */
  readonly ackedAt: readonly number[];
  readonly toAckMs: readonly number[];
  readonly pingMs: readonly number[];
  /** Appends for each that the log took. */
  readonly appendsPerTaken: number;
  readonly perTaken: number;
  /** Of all relays together. */
  readonly cores: number;
  /** The bare race. */
  readonly floorPerSecond: number;
  readonly floorSlowestMs: number;
  readonly floorShare: number;
}

const loads = [
  { name: "one file", isOneFile: true },
  { name: "a file each", isOneFile: false },
] as const;

/** Eight instances that write one session as fast as they can, each writer its next edit at the ack of its last. */
export async function rows({ runtimes, runs }: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const runtime of runtimes) {
    for (const { name, isOneFile } of loads) {
      const results: Race[] = [];
      for (let run = 0; run < runs; run++) {
        progress(`contention, ${name}: ${nameOf(runtime)}, run ${run + 1} of ${runs}`);
        results.push(await withInstances(runtime, instances, (found) => measureRace(found, isOneFile)));
      }
      all.push(...rowsOf(name, runtime, results));
    }
  }
  return all;
}

async function measureRace({ relays, redisUrl }: Instances, isOneFile: boolean): Promise<Race> {
  const floor = await raceBarely(redisUrl, { connections: instances, measureMs: floorMs });
  const ackedAt = relays.map(() => 0);
  const toAckMs: number[] = [];
  /** When each sent what it waits for. */
  const sentAtMs: number[] = [];
  let isMeasuring = false;
  let isOver = true;
  const edit = (index: number) => {
    sentAtMs[index] = performance.now();
    places[index]?.writer.edit();
  };
  const { places, close } = await openWriters(
    relays,
    { sessions: 1, writersPerSession: instances * writersEach, isOneFile },
    {
      acked(sentMs, relay, place) {
        if (isMeasuring) {
          toAckMs.push(performance.now() - sentMs);
          ackedAt[relay] = (ackedAt[relay] ?? 0) + 1;
        }
        if (!isOver) edit(place);
      },
    },
  );
  try {
    const pings = await startPings(redisUrl);
    isOver = false;
    for (const index of places.keys()) edit(index);
    await sleep(warmUpMs);
    const [cores, before] = [await measureCores(relays), await countAppends(relays)];
    isMeasuring = true;
    await sleep(measureMs);
    isMeasuring = false;
    isOver = true;
    const [used, after] = [await cores(), await countAppends(relays)];
    // Who still waits has waited for so long at least.
    const nowMs = performance.now();
    for (const [index, { writer }] of places.entries()) {
      if (writer.isWaiting) toAckMs.push(nowMs - (sentAtMs[index] ?? nowMs));
    }
    const taken = after.taken - before.taken;
    return {
      ackedAt,
      toAckMs,
      pingMs: await pings.stop(),
      appendsPerTaken: (after.tried - before.tried) / taken,
      perTaken: ackedAt.reduce((sum, one) => sum + one, 0) / taken,
      cores: used.reduce((sum, one) => sum + one, 0),
      floorPerSecond: (floor.won.reduce((sum, one) => sum + one, 0) * 1000) / floorMs,
      floorSlowestMs: floor.slowestMs,
      floorShare: shareOf(floor.won),
    };
  } finally {
    close();
  }
}

/** What the one got who got least, of what each would have got of equal shares. */
const shareOf = (counts: readonly number[]): number =>
  (Math.min(...counts) * counts.length) / counts.reduce((sum, one) => sum + one, 0);

const perSecondOf = ({ ackedAt }: Race) => (ackedAt.reduce((sum, one) => sum + one, 0) * 1000) / measureMs;

function rowsOf(load: string, runtime: RuntimeName, all: readonly Race[]): Row[] {
  const mid = (of: (race: Race) => number) => median(all.map(of));
  const slowest = all.map(({ toAckMs }) => Math.max(...toAckMs));
  const where = `Redis, ${instances} instances, 1 session, ${load}, ${nameOf(runtime)}`;
  return [
    {
      name: `acked at full speed, ${where}`,
      value: mid(perSecondOf),
      unit: "edits/s",
      goal: { atLeast: goals.perSecond },
      peer: { name: `${instances} connections race, bare script`, value: mid(({ floorPerSecond }) => floorPerSecond) },
      note: [
        `runs ${spread(all.map(perSecondOf))}; ${writersEach} writers an instance`,
        `the least of an instance ${number(Math.min(...all.map(({ ackedAt }) => shareOf(ackedAt))))} of an equal share (bare ${number(Math.min(...all.map(({ floorShare }) => floorShare)))})`,
        `${number(mid(({ appendsPerTaken }) => appendsPerTaken))} appends for each that was taken, of ${number(mid(({ perTaken }) => perTaken))} edits`,
        `PING p99 ${number(mid(({ pingMs }) => percentile(pingMs, 0.99)))} ms, cores of all relays ${number(mid(({ cores }) => cores))}`,
      ].join("; "),
    },
    {
      name: `slowest ack of anybody, ${where}`,
      value: Math.max(...slowest),
      unit: "ms",
      goal: { atMost: goals.slowestMs },
      peer: { name: "of the bare race", value: mid(({ floorSlowestMs }) => floorSlowestMs) },
      note: `runs ${spread(slowest)}; p50 ${number(mid(({ toAckMs }) => percentile(toAckMs, 0.5)))}, p99 ${number(mid(({ toAckMs }) => percentile(toAckMs, 0.99)))} ms`,
    },
  ];
}
