import { appendSessions } from "../../src/cli/bench/measure-appends.ts";
import { median, spread } from "../../src/cli/bench/statistics.ts";
import { type BenchOptions, nameOf, type Row } from "../row.ts";
import { runWorker } from "../workers/worker.ts";

const unit = "records/s";

/** Appends through the port of the log on a Redis of this machine, beside a bare script that does the least of it. */
export async function rows({ runtimes, runs }: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const runtime of runtimes) {
    const [found] = await runWorker(runtime, "redis-append.ts", [String(runs)]);
    const of = (name: string) => found?.figures[name] ?? [];
    for (const appendfsync of ["always", "everysec"]) {
      const peer = { name: "a bare script", value: median(of(`bare ${appendfsync}`)) };
      for (const records of [1, 8]) {
        const values = of(`${appendfsync} ${records}`);
        all.push({
          name: `appends, Redis, appendfsync ${appendfsync}, ${records} each, ${nameOf(runtime)}`,
          value: median(values),
          unit,
          peer,
          note: `${appendSessions} sessions, 100 B a record, one connection; runs ${spread(values)}`,
        });
      }
    }
  }
  return all;
}
