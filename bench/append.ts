import { appendSessions } from "../src/cli/bench/measure-appends.ts";
import { median, spread } from "../src/cli/bench/statistics.ts";
import { type BenchOptions, nameOf, type Row } from "./row.ts";
import { runWorker } from "./workers/worker.ts";

const goal = { atLeast: 100_000 };

/** Appends through the port of the log, beside a bare SQLite table that takes the same frames on the same disk. */
export async function rows({ runtimes, logs, runs, folder }: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const runtime of runtimes) {
    const [found] = await runWorker(runtime, "append.ts", [String(runs), ...(folder === undefined ? [] : [folder])]);
    const of = (name: string) => found?.figures[name] ?? [];
    const row = (name: string, values: readonly number[], more: Partial<Row> = {}): Row => ({
      name: `${name}, ${nameOf(runtime)}`,
      value: median(values),
      unit: "records/s",
      note: `${appendSessions} sessions, 100 B a record; runs ${spread(values)}`,
      ...more,
    });
    // In a turn of the event loop all sessions come: so many records are in one commit.
    const peer = { name: "a bare table, 100 a commit", value: median(of("floor 100")) };
    const floor = (name: string, values: readonly number[]) => row(name, values, { note: `runs ${spread(values)}` });
    if (logs.includes("sqlite")) {
      all.push(
        row("durable appends, 1 record each", of("sqlite 1"), { goal, peer }),
        row("durable appends, 8 records each", of("sqlite 8"), { goal, peer }),
        floor("  floor: a bare table, 1 a commit", of("floor 1")),
        floor("  floor: a bare table, 32 a commit", of("floor 32")),
        floor("  floor: a bare table, 100 a commit", of("floor 100")),
      );
    }
    if (logs.includes("memory")) {
      all.push(row("appends, memory log, 1 record each", of("memory 1")));
      all.push(row("appends, memory log, 32 records each", of("memory 32")));
    }
  }
  return all;
}
