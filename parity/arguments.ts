import process from "node:process";
import { parseArgs } from "node:util";
import type { Row } from "./row.ts";
import { rows } from "./rows/index.ts";
import { runtimes } from "./runtimes/index.ts";
import type { Runtime } from "./runtimes/runtime.ts";
import { ways } from "./ways/index.ts";
import type { Way } from "./ways/way.ts";

const namesOf = (all: readonly { readonly name: string }[]) => all.map(({ name }) => name).join(", ");

const usage = `npm run parity [-- [runtime...] [options]]

One suite for every runtime: starts the relay on each as an operator does, with short limits, and speaks nothing but the
wire to it, by each protocol and carriage that it serves. A line for each runtime, way and row; the last line is
"N passed, N failed", and the exit code 1 unless none failed.

  runtime        ${namesOf(runtimes)}; none: all
  --row NAME     this row alone; may come several times: ${namesOf(rows)}
  --ways NAME    ways whose name contains this; may come several times: ${namesOf(ways)}
  --seed N       of what people type (1)
  --json         a line of JSON for each case instead
  --table        writes docs/parity.md of what was seen; of all rows on all ways alone
  --help         this text`;

const exitUsage = 64;

export interface Asked {
  readonly runtimes: readonly Runtime[];
  readonly rows: readonly Row[];
  readonly ways: readonly Way[];
  readonly seed: number;
  readonly isJson: boolean;
  readonly writesTable: boolean;
}

export function readArguments(): Asked {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        row: { type: "string", multiple: true, default: [] },
        ways: { type: "string", multiple: true, default: [] },
        seed: { type: "string", default: "1" },
        json: { type: "boolean", default: false },
        table: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const asked = {
      runtimes: positionals.length === 0 ? runtimes : positionals.map((name) => find(runtimes, "runtime", name)),
      rows: values.row.length === 0 ? rows : values.row.map((name) => find(rows, "row", name)),
      ways: ways.filter(({ name }) => values.ways.length === 0 || values.ways.some((part) => name.includes(part))),
      seed: Number(values.seed),
      isJson: values.json,
      writesTable: values.table,
    };
    if (asked.ways.length === 0) throw new Error(`no way is called ${values.ways.join(" or ")}`);
    if (asked.writesTable && (values.row.length > 0 || values.ways.length > 0)) {
      throw new Error("--table tells of all rows on all ways: leave out what narrows them");
    }
    return asked;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(exitUsage);
  }
}

function find<T extends { readonly name: string }>(all: readonly T[], kind: string, name: string): T {
  const found = all.find((one) => one.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}
