import process from "node:process";

export type StopSignal = "SIGINT" | "SIGTERM";

/**
 * `bin/baton.mjs` sets this: it turns every stop signal into one SIGTERM. A SIGINT that comes here beside it is the
 * terminal's, which tells the whole process group: the same one again.
 */
const launcherVariable = "_BATON_LAUNCHER";

/** Calls `stop` for each request to stop, each once. */
export function onStopSignal(stop: (signal: StopSignal) => void): void {
  process.on("SIGTERM", () => stop("SIGTERM"));
  process.on("SIGINT", () => {
    if (process.env[launcherVariable] === undefined) stop("SIGINT");
  });
}
