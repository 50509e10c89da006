import { getLogger } from "@logtape/logtape";
import {
  BrokenCircuitError,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  DelegateBackoff,
  handleWhen,
} from "cockatiel";
import { BatonError } from "../session/reasons.ts";
import type { SessionLog } from "./session-log.ts";

const logger = getLogger(["baton", "log"]);

/** Calls that fail one after the other before no more are made. One failed commit of several sessions is as many. */
const failures = 5;
/** How long no call is made; after each attempt that fails, twice as long. */
const firstBreakMs = 100;
/** Well below the time for which a room waits for its store, so that none gives up without having asked. */
const longestBreakMs = 2_000;

/**
 * Leaves a log alone that does not answer. After some `LOG_UNAVAILABLE` in a row, calls are refused at once, likewise and
 * with the time until the next attempt, which one call makes for all. So a store that is down is not opened anew for
 * every record, and nobody waits for it in vain. Other failures say that it answers, and count for nothing.
 *
 * Reads and writes are judged apart: a store that cannot be written may be read, and success there says nothing here.
 * An engine's calls have to come to an end by themselves: while an attempt is under way, the others are refused.
 */
export function withBreaker(log: SessionLog): SessionLog {
  const read = createCircuit("read");
  const write = createCircuit("written");
  return {
    describe: (...args) => read(() => log.describe(...args)),
    claim: (...args) => write(() => log.claim(...args)),
    append: (...args) => write(() => log.append(...args)),
    read: (...args) => read(() => log.read(...args)),
    putSnapshot: (...args) => write(() => log.putSnapshot(...args)),
    latestSnapshot: (...args) => read(() => log.latestSnapshot(...args)),
    dropSnapshot: (...args) => write(() => log.dropSnapshot(...args)),
    trim: (...args) => write(() => log.trim(...args)),
    renewEpoch: (...args) => write(() => log.renewEpoch(...args)),
    watch: log.watch,
    delete: (...args) => write(() => log.delete(...args)),
    list: (...args) => read(() => log.list(...args)),
    secret: (...args) => write(() => log.secret(...args)),
    revoke: (...args) => write(() => log.revoke(...args)),
    revocations: (...args) => read(() => log.revocations(...args)),
    close: log.close,
  };
}

const isUnavailable = (error: unknown) => error instanceof BatonError && error.reason === "LOG_UNAVAILABLE";

const refusal = (retryAfterMs: number) =>
  new BatonError("LOG_UNAVAILABLE", undefined, { retryAfterMs: Math.max(retryAfterMs, 1) });

function createCircuit(what: "read" | "written"): <T>(call: () => Promise<T>) => Promise<T> {
  let openedAtMs = 0;
  let nextAttemptAtMs = 0;
  const close = () => {
    const policy = circuitBreaker(handleWhen(isUnavailable), {
      breaker: new ConsecutiveBreaker(failures),
      halfOpenAfter: new DelegateBackoff(({ attempt }) => {
        const breakMs = Math.min(firstBreakMs * 2 ** (attempt - 1), longestBreakMs);
        if (attempt === 1) logger.error("the log cannot be reached; it is left alone for moments", { what });
        openedAtMs = Date.now();
        nextAttemptAtMs = openedAtMs + breakMs;
        return breakMs;
      }),
    });
    policy.onReset(() => logger.info("the log can be reached again", { what }));
    return policy;
  };
  let policy = close();
  return async (call) => {
    // The library measures by the wall clock, and one that was set back would keep it open for as long.
    if (policy.state === CircuitState.Open && Date.now() < openedAtMs) policy = close();
    // The library would let this one wait for the attempt that is under way.
    if (policy.state === CircuitState.HalfOpen) throw refusal(firstBreakMs);
    try {
      return await policy.execute(call);
    } catch (error) {
      throw error instanceof BrokenCircuitError ? refusal(nextAttemptAtMs - Date.now()) : error;
    }
  };
}
