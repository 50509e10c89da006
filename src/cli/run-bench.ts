import { cpus, loadavg, tmpdir } from "node:os";
import { resolve } from "node:path";
import process from "node:process";
import { StartError } from "../runtime/start-error.ts";
import { runtimeTitle } from "../runtime/this-runtime.ts";
import { isOneFile, readVersion } from "../runtime/version.ts";
import { formatBenchRows, measureAll } from "./bench/measure-all.ts";
import { number } from "./bench/statistics.ts";
import { withTempFolder } from "./bench/temp-folder.ts";
import { exitCodes, signalExitCode } from "./exit-codes.ts";
import { jsonLine, Output } from "./output.ts";
import { printable } from "./printable.ts";

export interface BenchOptions {
  readonly folder?: string;
  readonly seconds: number;
  readonly json: boolean;
}

/** Ends the process: with 0, or with words on stderr. What it made goes with it, also on a signal. */
export async function runBench({ folder = tmpdir(), seconds, json }: BenchOptions): Promise<void> {
  if (isOneFile) {
    throw new StartError("baton bench runs programs of the sources, which are not in this one file; run it in a clone");
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(signalExitCode(signal)));
  const output = new Output(() => process.exit(exitCodes.ok));
  const where = resolve(folder);
  const [load = Number.NaN] = loadavg();
  const machine = {
    baton: readVersion(),
    runtime: runtimeTitle,
    cores: cpus().length,
    processor: cpus()[0]?.model ?? "unknown",
    load,
    folder: where,
  };
  try {
    // Before minutes are spent: that it can be written to.
    await withTempFolder(async () => undefined, where);
    const rows = await measureAll({
      folder: where,
      measureMs: seconds * 1000,
      begins: (what) => process.stderr.write(`measuring: ${what}\n`),
    });
    if (json) {
      output.line(jsonLine(JSON.stringify({ machine, rows })));
    } else {
      const { baton, runtime, cores, processor } = machine;
      output.line(
        `baton ${baton}, ${runtime}, ${cores} cores, ${printable(processor)}; load ${number(load)} before; SQLite under ${printable(where)}\n`,
      );
      output.line(formatBenchRows(rows));
    }
    await output.flushed();
    process.exit(exitCodes.ok);
  } catch (error) {
    await output.flushed();
    process.stderr.write(`baton bench: ${describe(error, where)}\n`);
    process.exit(exitCodes.failed);
  }
}

function describe(error: unknown, folder: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const said = error instanceof Error ? error.message : "unknown";
  switch (code) {
    case "ENOENT":
    case "ENOTDIR":
      return `there is no folder ${printable(folder)}`;
    case "EACCES":
    case "EROFS":
      return `nothing can be written under ${printable(folder)}`;
    default:
      return printable(said);
  }
}
