import { median, number, spread } from "../src/cli/bench/statistics.ts";
import { type BenchOptions, nameOf, type Row } from "./row.ts";
import { runWorker } from "./workers/worker.ts";

/** Edits a second on one file, through the core alone and through the whole path into the memory log. */
export async function rows({ runtimes, runs, traces }: BenchOptions): Promise<readonly Row[]> {
  const all: Row[] = [];
  for (const runtime of runtimes) {
    const args = [String(runs), ...(traces === undefined ? [] : [traces])];
    for (const { name, edits, figures } of await runWorker(runtime, "core.ts", args)) {
      const bare = figures.bare ?? [];
      const row = (what: string, way: string): Row => {
        const values = figures[way] ?? [];
        const ofCpu = figures[`${way}, of CPU time`] ?? [];
        return {
          name: `${what}, ${name}, ${nameOf(runtime)}`,
          value: median(values),
          unit: "edits/s",
          peer: { name: "ChangeSet.of and apply", value: median(bare) },
          // Other work on the machine takes wall time, not CPU time; the runtime's own helpers take both.
          note: `${edits} edits of one file; runs ${spread(values)}, of the floor ${spread(bare)}; ${number(median(ofCpu))} a second of CPU time`,
        };
      };
      all.push(
        { ...row("admit and append, memory log", "path"), goal: { atLeast: 60_000 } },
        row("  of it: admit", "admitted"),
        row("  of it: admit, encode", "encoded"),
      );
    }
  }
  return all;
}
