// npm run bench [-- <part>...] [--json FILE]
import { writeFileSync } from "node:fs";
import { arch, cpus, platform } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import * as fanout from "./fanout.ts";
import * as idle from "./idle.ts";
import * as latency from "./latency.ts";
import * as resume from "./resume.ts";
import { formatTable, type Part, type Row, ratio } from "./row.ts";

/** Each file that measures exports `rows`; a new one needs a line here and nothing else. */
const parts: readonly Part[] = [
  { name: "fanout", rows: fanout.rows },
  { name: "latency", rows: latency.rows },
  { name: "idle", rows: idle.rows },
  { name: "resume", rows: resume.rows },
];

const { values, positionals } = parseArgs({ options: { json: { type: "string" } }, allowPositionals: true });
const unknown = positionals.filter((name) => !parts.some((part) => part.name === name));
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(", ")}; there are ${parts.map(({ name }) => name).join(", ")}`);
  process.exit(64);
}

const rows: Row[] = [];
for (const part of parts) {
  if (positionals.length > 0 && !positionals.includes(part.name)) continue;
  console.error(`measuring: ${part.name}`);
  rows.push(...(await part.rows()));
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
