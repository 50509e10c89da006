import { setTimeout as sleep } from "node:timers/promises";
import { median, number, spread } from "../../src/cli/bench/statistics.ts";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";
import { progress } from "../progress.ts";
import { type BenchOptions, nameOf, type Row } from "../row.ts";
import { type Crowd, type Instances, openWriters, withInstances } from "./instances.ts";

const instances = 4;
/** In which what comes at the beginning is over: joins, first words of presence. */
const settleMs = 3_000;
/** Long enough for what is done every 10 s to be seen some times. */
const measureMs = 40_000;
/** Somebody who says nothing for longer than 23 s is taken to be gone. */
const beatMs = 10_000;
const unit = "commands/s";

/** Nobody says anything: what the instances still ask of the Redis, which some servers bill. */
export async function rows({ runtimes, runs }: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const runtime of runtimes) {
    const measure = async (crowd: Crowd | undefined, what: string) => {
      const found: Commands[] = [];
      for (let run = 0; run < runs; run++) {
        progress(`idle, ${what}: ${nameOf(runtime)}, run ${run + 1} of ${runs}`);
        found.push(await withInstances(runtime, instances, (one) => measureIdle(one, crowd)));
      }
      return found;
    };
    const empty = await measure(undefined, "no session");
    const present = { sessions: 10, writersPerSession: instances, isOneFile: true };
    const open = await measure(present, `${present.sessions} sessions`);
    const base = median(empty.map(({ perSecond }) => perSecond));
    const perSession = open.map(({ perSecond }) => (perSecond - base) / present.sessions / instances);
    all.push(
      {
        name: `an instance, no session, ${nameOf(runtime)}`,
        value: base / instances,
        unit,
        note: `${instances} instances; ${namesOf(empty, instances)}`,
      },
      {
        name: `an idle session that somebody is in, for each instance, ${nameOf(runtime)}`,
        value: median(perSession),
        unit,
        note: `${present.sessions} sessions of ${instances}, one at each of ${instances} instances; runs ${spread(perSession)}; all: ${namesOf(open, instances)} an instance`,
      },
    );
  }
  return all;
}

interface Commands {
  readonly perSecond: number;
  readonly byName: ReadonlyMap<string, number>;
}

const namesOf = ([found]: readonly Commands[], count: number): string =>
  [...(found?.byName ?? [])].map(([name, perSecond]) => `${name} ${number(perSecond / count)}`).join(", ");

async function measureIdle({ relays, redisUrl }: Instances, crowd: Crowd | undefined): Promise<Commands> {
  const writers = crowd && (await openWriters(relays, crowd, { acked: () => undefined }));
  const beating = setInterval(() => {
    for (const { writer } of writers?.places ?? []) writer.beat();
  }, beatMs);
  const connection = await connectRedisTcp({ url: redisUrl });
  try {
    await sleep(settleMs);
    const before = parseCalls(await connection.command("INFO", "commandstats"));
    await sleep(measureMs);
    const after = parseCalls(await connection.command("INFO", "commandstats"));
    const byName = new Map<string, number>();
    for (const [name, calls] of after) {
      const more = calls - (before.get(name) ?? 0);
      if (more > 0 && isSent(name)) byName.set(name, (more * 1000) / measureMs);
    }
    return { byName, perSecond: [...byName.values()].reduce((sum, one) => sum + one, 0) };
  } finally {
    clearInterval(beating);
    await connection.close();
    writers?.close();
  }
}

/** Those that a relay sends: what a script calls is listed too. PING keeps a connection of TCP, and there is none over REST. */
const isSent = (name: string) => ["evalsha", "eval", "publish"].includes(name);

function parseCalls(info: unknown): ReadonlyMap<string, number> {
  const lines = String(info).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
  return new Map([...lines].map(([, name = "", calls]) => [name, Number(calls)]));
}
