import type { Latency } from "../src/cli/bench/measure-latency.ts";
import { measureLatency, writers } from "../src/cli/bench/measure-latency.ts";
import { median, number, percentile, spread } from "../src/cli/bench/statistics.ts";
import { withRelay } from "./contestants.ts";
import { type BenchOptions, type Row, relayVariants, variantTitle } from "./row.ts";

const times = { warmUpMs: 1_500, measureMs: 2_500 };

/** p99 in ms; a disk's own sync is in the second. */
const goalMs = { memory: 3, sqlite: 5 };

/** Edit to ack, and edit to another reader, in ms. */
export async function rows(options: BenchOptions): Promise<readonly Row[]> {
  const variants = relayVariants(options);
  const results = variants.map((): Latency[] => []);
  for (let run = 0; run < options.runs; run++) {
    for (const [index, variant] of variants.entries()) {
      results[index]?.push(
        await withRelay(variant, (server) => measureLatency(server, times), { parent: options.folder }),
      );
    }
  }
  return variants.flatMap((variant, index) => rowsOf(variantTitle(variant), results[index] ?? [], goalMs[variant.log]));
}

function rowsOf(title: string, all: readonly Latency[], p99Ms: number): Row[] {
  const over = (share: number, of: (times: Latency) => readonly number[]) =>
    all.map((times) => percentile(of(times), share));
  const row = (what: string, of: (times: Latency) => readonly number[]): Row => ({
    name: `edit to ${what}, p99, ${title}`,
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
