// The program itself; nothing imports it.
import process from "node:process";
import { describeFailure } from "./describe-failure.ts";
import { createProgram } from "./program.ts";

/** Ends with the failure's own words; a stack never leaves the process. */
function fail(error: unknown): void {
  const { message, exitCode } = describeFailure(error);
  process.stderr.write(`${message}\n`);
  process.exit(exitCode);
}

// Whoever read stdout may have gone: `baton start | head -1`.
process.stdout.on("error", () => undefined);
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
createProgram().parseAsync().catch(fail);
