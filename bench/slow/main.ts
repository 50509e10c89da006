/**
 * What one reader that never reads costs the others, and the relay: on each runtime, over each protocol.
 * `npm run slow -- --help` says how.
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { number } from "../../src/cli/bench/statistics.ts";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import { type Load, type Measured, measure, type Protocol } from "./measure.ts";

const usage = `npm run slow -- [options] [runtime...] [protocol...]

199 readers over 4 connections, a writer at full speed (rates off, SQLite), and, in turn, without and with one more reader
on a connection of its own that joins and never reads. After each time with it, it begins to read and has to get every
record, once and in order. The relay runs in a process of its own. Exit 1 unless, everywhere, the others keep 95 % of their
throughput, the relay takes at most 2 MiB more (resident, after a collection), and nothing is missed.

Runtimes: bun, node; protocols: connect, grpc-web, grpc, websocket, where each reader has a connection of its own. Without any:
all, about eight minutes.

  --rounds N    with the slow reader, per runtime and protocol; medians are told (15)
  --seconds N   of each (0.5)
  --help`;

const { values, positionals } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    seconds: { type: "string", default: "0.5" },
    help: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}

/** Those that serve all of these. */
const allRuntimes: readonly RuntimeName[] = ["bun", "node"];
const allProtocols: readonly Protocol[] = ["connect", "grpc-web", "grpc", "websocket"];
const chosen = <T extends string>(all: readonly T[]): readonly T[] => {
  const named = all.filter((name) => positionals.includes(name));
  return named.length > 0 ? named : all;
};
const unknown = positionals.filter((name) => ![...allRuntimes, ...allProtocols].some((known) => known === name));
if (unknown.length > 0) throw new Error(`no such runtime or protocol: ${unknown.join(", ")}`);

// What is to be cleared away is so on exit, which a signal alone does not cause.
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));

const load: Load = {
  readers: 199,
  connections: 4,
  window: 64,
  dataBytes: 100,
  phaseMs: Number(values.seconds) * 1000,
  rounds: Number(values.rounds),
};
const leastThroughput = 0.95;
const mostBytes = 2 * 1024 * 1024;
const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
const mib = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(2)} MiB`;

function report(name: string, measured: Measured): readonly boolean[] {
  const { perSecond, cpuUs, rssBytes, heapBytes, behind, gaps } = measured;
  const throughput = perSecond.with / perSecond.without;
  const checks = [throughput >= leastThroughput, rssBytes <= mostBytes, gaps === 0 && behind > 0];
  const says = [
    `others ${percent(throughput)} of ${number(perSecond.without)} deliveries/s, at ${percent(cpuUs.with / cpuUs.without)} of ${number(cpuUs.without)} us each`,
    `memory ${mib(rssBytes)} resident, ${mib(heapBytes)} of JavaScript's`,
    `resumed at least ${number(behind)} records behind, ${gaps} missed`,
  ];
  console.log(name.padEnd(15), says.map((text, index) => `${checks[index] ? "ok  " : "FAIL"} ${text}`).join("; "));
  return checks;
}

const [busy = 0] = loadavg();
if (busy > 1)
  console.log(`other work runs on this machine (load ${busy.toFixed(1)}): what is told by the clock varies`);
let [passed, failed] = [0, 0];
for (const runtime of chosen(allRuntimes)) {
  for (const protocol of chosen(allProtocols)) {
    for (const check of report(`${runtime} ${protocol}`, await measure(runtime, protocol, load))) {
      if (check) passed += 1;
      else failed += 1;
    }
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
