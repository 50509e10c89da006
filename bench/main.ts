// npm run bench -- --help
import { writeFileSync } from "node:fs";
import { arch, cpus, platform } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import * as append from "./append.ts";
import * as core from "./core.ts";
import * as fanout from "./fanout.ts";
import * as idle from "./idle.ts";
import * as latency from "./latency.ts";
import * as resume from "./resume.ts";
import { formatTable, type Part, type Row, ratio } from "./row.ts";

/** Each file that measures exports `rows`; a new one needs a line here and nothing else. */
const parts: readonly Part[] = [
  { name: "fanout", summary: "server CPU for each message that a subscriber gets", rows: fanout.rows },
  { name: "latency", summary: "edit to ack and to another reader, p99", rows: latency.rows },
  { name: "idle", summary: "memory for each quiet stream", rows: idle.rows },
  { name: "resume", summary: "coming back after 100,000 records, and joining them", rows: resume.rows },
  { name: "append", summary: "records a second into the SQLite log", rows: append.rows },
  { name: "core", summary: "edits a second on one file, admission to the log", rows: core.rows },
];

const help = `npm run bench -- [options] [part...]

Without a part: all of them, about ten minutes.

${parts.map(({ name, summary }) => `  ${name.padEnd(15)}${summary}`).join("\n")}

  --json FILE    writes the table as JSON too, with the machine
  --traces DIR   core: real editing histories, *.json.gz of "editing-traces"; without it, made-up typing
  --folder DIR   append: on the disk to be measured; without it, the system's folder for temporary files
  --help         this text`;

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
// What is to be cleared away is so on exit, which a signal alone does not cause.
process.once("SIGINT", () => process.exit(130));
process.once("SIGTERM", () => process.exit(143));

const rows: Row[] = [];
for (const part of parts) {
  if (positionals.length > 0 && !positionals.includes(part.name)) continue;
  console.error(`measuring: ${part.name}`);
  rows.push(...(await part.rows(values)));
}
const machine = {
  runtime: `Bun ${Bun.version}`,
  system: `${platform()} ${arch()}`,
  cores: cpus().length,
  processor: cpus()[0]?.model ?? "unknown",
};
console.log(`${machine.runtime}, ${machine.system}, ${machine.cores} cores, ${machine.processor}\n`);
console.log(formatTable(rows));
if (values.json !== undefined) {
  const measured = rows.map((row) => ({ ...row, ratio: ratio(row) }));
  writeFileSync(values.json, `${JSON.stringify({ machine, rows: measured }, undefined, 2)}\n`);
}
process.exit(0);
