import process from "node:process";
import { getLogger } from "@logtape/logtape";
import { describeError } from "../runtime/log-values.ts";
import { exitCodes, signalExitCode } from "./exit-codes.ts";
import { onStopSignal, type StopSignal } from "./stop-signals.ts";

const logger = getLogger(["baton", "cli"]);

/** Beyond the drain's own time: something hangs. */
const overdueMs = 2_000;

/**
 * Waits for SIGINT or SIGTERM, then drains by calling `close` once. Resolves with the exit code when that is done, or
 * has failed, or has taken longer than it may. A second signal ends the process at once.
 */
export function runUntilStopped(close: () => Promise<void>, drainMs: number): Promise<number> {
  return new Promise((resolve) => {
    let draining = false;
    const stop = (signal: StopSignal) => {
      if (draining) process.exit(signalExitCode(signal));
      draining = true;
      logger.info("stopping", { signal });
      const timer = setTimeout(() => {
        logger.error("the drain did not end in time", { drainMs });
        resolve(exitCodes.failed);
      }, drainMs + overdueMs);
      close().then(
        () => {
          clearTimeout(timer);
          resolve(exitCodes.ok);
        },
        (error: unknown) => {
          clearTimeout(timer);
          logger.error("the drain failed", { error: error instanceof Error ? describeError(error) : "not an Error" });
          resolve(exitCodes.failed);
        },
      );
    };
    onStopSignal(stop);
  });
}
