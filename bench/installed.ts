import { runtimeFlags } from "../src/cli/bench/start-measured-relay.ts";
import type { RuntimeName } from "../src/runtime/this-runtime.ts";
import { findInstalled } from "../test/support/runtimes.ts";
import { nameOf } from "./row.ts";

/** As people name it, with its version. */
export const titleOf = (runtime: RuntimeName): string => `${nameOf(runtime)} ${findInstalled(runtime).version}`;

/** What runs a script on a runtime. To look into a server: BENCH_SERVER_FLAGS="--cpu-prof --cpu-prof-dir=/tmp/profile". */
export function commandOf(runtime: RuntimeName, script: string, args: readonly string[]): [string, string[]] {
  const more = process.env.BENCH_SERVER_FLAGS?.split(" ") ?? [];
  return [findInstalled(runtime).program, [...runtimeFlags[runtime], ...more, script, ...args]];
}
