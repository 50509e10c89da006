/** One black-box suite for every runtime. `npm run parity -- --help` says how. */
import process from "node:process";
import { readArguments } from "./arguments.ts";
import { lineOf, type Outcome } from "./outcome.ts";
import { RuntimeRun } from "./run.ts";
import { writeTable } from "./table.ts";

const asked = readArguments();
const outcomes: Outcome[] = [];

function tell(outcome: Outcome): void {
  outcomes.push(outcome);
  console.log(asked.isJson ? JSON.stringify(outcome) : lineOf(outcome));
}

for (const runtime of asked.runtimes) {
  const startedMs = performance.now();
  try {
    await new RuntimeRun(runtime, asked, tell).run();
  } catch (error) {
    const says = error instanceof Error ? error.message : String(error);
    tell({ runtime: runtime.name, way: "-", row: "-", kind: "failed", says });
  }
  const own = outcomes.filter((one) => one.runtime === runtime.name);
  const count = (kind: Outcome["kind"]) => own.filter((one) => one.kind === kind).length;
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  if (!asked.isJson) {
    console.log(`${runtime.name}: ${count("passed")} passed, ${count("failed")} failed, in ${seconds} s`);
  }
}

if (asked.writesTable) writeTable(asked, outcomes);
const failed = outcomes.filter(({ kind }) => kind === "failed").length;
const passed = outcomes.filter(({ kind }) => kind === "passed").length;
console.log(`${passed} passed, ${failed} failed`);
// Connections that clients keep for later would hold the process.
process.exit(failed === 0 && passed > 0 ? 0 : 1);
