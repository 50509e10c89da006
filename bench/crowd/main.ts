/**
 * What ten thousand quiet streams cost, whether each gets its heartbeats in time, and whether anything is left of them.
 * `npm run crowd -- --help` says how.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { type RuntimeName, runtimeNames } from "../../src/runtime/this-runtime.ts";
import { titleOf } from "../installed.ts";
import { type Crowd, measure, type Seen } from "./measure.ts";

const usage = `npm run crowd -- [options] [runtime...]

Readers of one session, half of them by Subscribe, half by CollaborativeSession. They stay for three heartbeats, then all are
cut; and once more, to tell what stays with the process from what stays with each stream. Exit 1 unless every heartbeat came
in time, every gauge of /metrics is back at 0, every stream's join and end was counted, and the heap is as it was.

Runtimes: bun, node, deno; without any, the first two: about three minutes.

  --streams N      10000
  --connections N  over which they come (100)
  --help`;

const { values, positionals } = parseArgs({
  options: {
    streams: { type: "string", default: "10000" },
    connections: { type: "string", default: "100" },
    help: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
const unknown = positionals.filter((name) => !runtimeNames.some((known) => known === name));
if (unknown.length > 0) {
  console.error(`no such runtime: ${unknown.join(", ")}\n\n${usage}`);
  process.exit(64);
}

// What is to be cleared away is so on exit, which a signal alone does not cause.
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));

const crowd: Crowd = { streams: Number(values.streams), connections: Number(values.connections) };
/** A tick of the relay, and what a machine that is shared takes to write ten thousand of them and to read them. */
const mostLateMs = 1_000;
/** Of the heap, for each stream that is gone: what its Map entry alone would weigh. */
const mostLeftBytes = 64;
const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;

function report(runtime: RuntimeName, seen: Seen): readonly boolean[] {
  const { streams } = crowd;
  const { heartbeats, rssBytes, heapBytes, leftBytes, gaugesLeft, joins, ends } = seen;
  const isOnTime = heartbeats.missed === 0 && heartbeats.latestMs <= mostLateMs;
  const lines: readonly (readonly [boolean, string])[] = [
    [true, `${kib(rssBytes / streams)} resident a stream, ${kib(heapBytes / streams)} of JavaScript's`],
    [
      isOnTime,
      `${heartbeats.heard} heartbeats, ${heartbeats.missed} missed, the latest ${Math.round(heartbeats.latestMs)} ms late, the median ${Math.round(heartbeats.medianMs)} ms`,
    ],
    [gaugesLeft.length === 0, `gauges that are not 0 again: ${gaugesLeft.join(", ") || "none"}`],
    [joins === 2 * streams && ends === 2 * streams, `${joins} joins and ${ends} ends counted of ${2 * streams}`],
    [leftBytes <= mostLeftBytes * streams, `${(leftBytes / streams).toFixed(1)} bytes of heap left for each stream`],
  ];
  console.log(titleOf(runtime));
  for (const [isOk, says] of lines) console.log(`  ${isOk ? "ok  " : "FAIL"} ${says}`);
  return lines.map(([isOk]) => isOk);
}

let [passed, failed] = [0, 0];
const asked = runtimeNames.filter((name) => (positionals.length > 0 ? positionals.includes(name) : name !== "deno"));
for (const runtime of asked) {
  for (const isOk of report(runtime, await measure(runtime, crowd))) {
    if (isOk) passed += 1;
    else failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
