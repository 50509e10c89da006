import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";
import { runtimeFlags } from "../src/cli/bench/start-measured-relay.ts";
import type { RuntimeName } from "../src/runtime/this-runtime.ts";

const manifestSchema = z.object({ version: z.string(), bin: z.record(z.string(), z.string()) });

/** A runtime that npm installed. */
function findInstalled(name: RuntimeName) {
  const path = createRequire(import.meta.url).resolve(`${name}/package.json`);
  const { version, bin } = manifestSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  return { title: `${name === "bun" ? "Bun" : "Node"} ${version}`, program: join(dirname(path), bin[name] ?? "") };
}

const installed = { bun: findInstalled("bun"), node: findInstalled("node") };

/** As people name it, with its version. */
export const titleOf = (runtime: RuntimeName): string => installed[runtime].title;

/** What runs a script on a runtime. To look into a server: BENCH_SERVER_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/profile". */
export function commandOf(runtime: RuntimeName, script: string, args: readonly string[]): [string, string[]] {
  const more = process.env.BENCH_SERVER_FLAGS?.split(" ") ?? [];
  return [installed[runtime].program, [...runtimeFlags[runtime], ...more, script, ...args]];
}
