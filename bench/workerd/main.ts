// npm run bench:worker -- --help
import process from "node:process";
import { parseArgs } from "node:util";
import { missingWorkerd } from "../../test/workerd/harness.ts";
import { formatTable } from "../row.ts";
import { measureHistory } from "./history.ts";
import { measurePeople } from "./people.ts";
import { measureReaders } from "./readers.ts";

const parts = {
  history: "rows that are written for what is typed, and how long an object takes to wake",
  readers: "one session's readers, over the session's object and its replicas",
  people: "200 people in one session: 50 messages a second of all of them, and of each",
} as const;
type Part = keyof typeof parts;
const isPart = (name: string): name is Part => Object.hasOwn(parts, name);

const help = `npm run bench:worker -- [options] [part...]

The relay on Workers, in workerd on this machine. Without a part: history.

${Object.entries(parts)
  .map(([name, says]) => `  ${name.padEnd(16)}${says}`)
  .join("\n")}

  --readers N     readers: how many; 2000
  --seconds N     readers, people: for how long there is typing; 20
  --help          this text`;

const { values, positionals } = parseArgs({
  options: {
    readers: { type: "string", default: "2000" },
    seconds: { type: "string", default: "20" },
    help: { type: "boolean", default: false },
  },
  allowPositionals: true,
});
const unknown = positionals.filter((name) => !isPart(name));
if (values.help || unknown.length > 0) {
  console.log(unknown.length === 0 ? help : `no such part: ${unknown.join(", ")}\n\n${help}`);
  process.exit(values.help ? 0 : 64);
}
if (missingWorkerd !== "") {
  console.error(missingWorkerd);
  process.exit(1);
}
const [readers, seconds] = [Number(values.readers), Number(values.seconds)];
const asked = positionals.length === 0 ? (["history"] as const) : positionals.filter(isPart);
for (const part of asked) {
  const rows = {
    history: () => measureHistory(),
    readers: () => measureReaders(readers, seconds),
    people: () => measurePeople(seconds),
  };
  console.log(formatTable(await rows[part]()));
}
process.exit(0);
