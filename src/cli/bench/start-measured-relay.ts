import process from "node:process";
import { fileURLToPath } from "node:url";
import { runtimeName } from "../../runtime/this-runtime.ts";
import { MeasuredProcess } from "./measured-process.ts";

/** What a runtime is started with, so that `side-channel.ts` can answer all questions. */
export const runtimeFlags = {
  bun: ["--no-env-file", "--no-install"],
  node: ["--expose-gc", "--disable-warning=ExperimentalWarning"],
  deno: ["run", "--allow-all", "--v8-flags=--expose-gc"],
} as const;

/** Beside this file, in the sources and in what is built of them. */
export const relayScript = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./relay-process.ts" : "./relay-process.js", import.meta.url),
);

/** The relay on the runtime that this process runs on. `log`: "memory", or a folder for SQLite. */
export function startMeasuredRelay(log: string): Promise<MeasuredProcess> {
  return MeasuredProcess.start(process.execPath, [...runtimeFlags[runtimeName], relayScript, log]);
}
