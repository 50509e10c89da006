// npm run bench -- --help
import { writeFileSync } from "node:fs";
import { arch, cpus, loadavg, platform, release } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { number } from "../src/cli/bench/statistics.ts";
import { runtimeNames } from "../src/runtime/this-runtime.ts";
import * as append from "./append.ts";
import * as core from "./core.ts";
import * as fanout from "./fanout.ts";
import * as idle from "./idle.ts";
import { titleOf } from "./installed.ts";
import * as latency from "./latency.ts";
import * as redis from "./redis/main.ts";
import * as resume from "./resume.ts";
import { type BenchOptions, formatTable, logKinds, type Part, type Row, ratio } from "./row.ts";

/** Each file that measures exports `rows`; a new one needs a line here and nothing else. */
const parts: readonly Part[] = [
  { name: "fanout", summary: "server CPU for each message that a subscriber gets", rows: fanout.rows },
  { name: "latency", summary: "edit to ack and to another reader, p99", rows: latency.rows },
  { name: "idle", summary: "memory for each quiet stream", rows: idle.rows },
  { name: "resume", summary: "coming back after 100,000 records, and joining them", rows: resume.rows },
  { name: "append", summary: "records a second into the SQLite log", rows: append.rows },
  { name: "redis", summary: "one instance, and several, on a Redis of this machine", rows: redis.rows },
  { name: "core", summary: "edits a second on one file, admission to the log", rows: core.rows },
];

const help = `npm run bench -- [options] [part...]

Without a part: all of them, about half an hour.

${parts.map(({ name, summary }) => `  ${name.padEnd(20)}${summary}`).join("\n")}

  --runtime NAME      bun, node, deno or all, which is the default
  --log KIND          memory, sqlite or all, which is the default
  --runs N            runs of each server, in turn; 5
  --only TEXT         fanout, redis: of its loads those with TEXT in their name
  --json FILE         writes the table as JSON too, with the machine
  --traces DIR        core: real editing histories, *.json.gz of "editing-traces"; without it, made-up typing
  --folder DIR        SQLite on the disk to be measured; without it, the system's folder for temporary files
  --help              this text`;

const exitUsage = 64;

function refuse(why: string): never {
  console.error(`${why}\n\n${help}`);
  process.exit(exitUsage);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        json: { type: "string" },
        runtime: { type: "string", default: "all" },
        log: { type: "string", default: "all" },
        runs: { type: "string", default: "5" },
        only: { type: "string" },
        traces: { type: "string" },
        folder: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
      allowPositionals: true,
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

const { values, positionals } = readArguments();
if (values.help) {
  console.log(help);
  process.exit(0);
}
const unknown = positionals.filter((name) => !parts.some((part) => part.name === name));
if (unknown.length > 0) refuse(`no such part: ${unknown.join(", ")}`);
/** One of them, or all. */
function choose<K extends string>(option: string, said: string, known: readonly K[]): readonly K[] {
  const chosen = known.filter((name) => said === "all" || said === name);
  return chosen.length > 0 ? chosen : refuse(`--${option}: ${known.join(", ")} or all`);
}

const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) refuse("--runs: a whole number from 1 on");
const options: BenchOptions = {
  runtimes: choose("runtime", values.runtime, runtimeNames),
  logs: choose("log", values.log, logKinds),
  runs,
  only: values.only,
  traces: values.traces,
  folder: values.folder,
};
// What is to be cleared away is so on exit, which a signal alone does not cause.
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));

const load = () => number(loadavg()[0] ?? Number.NaN);
const rows: Row[] = [];
const loads = [load()];
for (const part of parts) {
  if (positionals.length > 0 && !positionals.includes(part.name)) continue;
  console.error(`measuring: ${part.name}`);
  rows.push(...(await part.rows(options)));
  loads.push(load());
}
const machine = {
  date: new Date().toISOString(),
  runtimes: options.runtimes.map(titleOf),
  system: `${platform()} ${release()} ${arch()}`,
  cores: cpus().length,
  processor: cpus()[0]?.model ?? "unknown",
  /** Of one minute, before the first part and behind each: what is above 1 or 2 is others' work. */
  loads,
};
console.log(
  `${machine.date}, ${machine.runtimes.join(", ")}, ${machine.system}, ${machine.cores} cores, ${machine.processor}; load ${loads.join(", ")}\n`,
);
console.log(formatTable(rows));
if (values.json !== undefined) {
  const measured = rows.map((row) => ({ ...row, ratio: ratio(row) }));
  writeFileSync(values.json, `${JSON.stringify({ machine, rows: measured }, undefined, 2)}\n`);
}
process.exit(0);
