import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";
import { commandOf } from "../installed.ts";

/** What each way came to in each round, by its name. */
const figures = z.record(z.string(), z.array(z.number()));
const output = z.array(z.object({ name: z.string(), edits: z.number(), figures }));
export type WorkerOutput = z.infer<typeof output>;

/** Measures within one process of a runtime: `script` prints what it found. */
export async function runWorker(
  runtime: RuntimeName,
  script: "append.ts" | "core.ts" | "redis-append.ts",
  args: readonly string[],
): Promise<WorkerOutput> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const { stdout } = await promisify(execFile)(...commandOf(runtime, path, args), { maxBuffer: 2 ** 26 });
  return output.parse(JSON.parse(stdout));
}

/** `rounds` rounds of each way, in turn, so that what else the machine does falls on all of them alike. */
export async function inTurn(
  rounds: number,
  ways: Readonly<Record<string, () => Promise<number>>>,
): Promise<Record<string, number[]>> {
  const values: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [name, way] of Object.entries(ways)) values[name] = [...(values[name] ?? []), await way()];
  }
  return values;
}

export const print = (found: WorkerOutput): void => console.log(JSON.stringify(found));
