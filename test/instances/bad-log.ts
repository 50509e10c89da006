import type { LogRecord, Ring, SessionLog } from "../../src/durable/session-log.ts";
import { BatonError } from "../../src/session/reasons.ts";
import type { Fate } from "./instance.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Weather } from "./weather.ts";

/** What of the world a log depends on. */
interface Place {
  readonly scheduler: Scheduler;
  readonly weather: Weather;
  readonly store: SessionLog;
}

/**
 * The one store, as one instance reaches it: calls and answers take their time, answers to appends may be lost, and the
 * doorbell promises nothing.
 */
export function createBadLog(
  world: Place,
  fate: Fate,
  doorbells: Set<Ring>,
  appended: (records: readonly LogRecord[]) => void,
): SessionLog {
  const { scheduler } = world;
  const store = () => world.store;
  const weather = () => world.weather;
  const hop = () => new Promise<void>((resolve) => scheduler.later(() => fate.run(resolve)));

  const call = async <T>(run: (log: SessionLog) => Promise<T>): Promise<T> => {
    await hop();
    const [outcome] = await Promise.allSettled([run(store())]);
    await hop();
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  };

  return {
    describe: (...args) => call((log) => log.describe(...args)),
    claim: (...args) => call((log) => log.claim(...args)),
    append: (sessionId, batch) =>
      call(async (log) => {
        const outcome = await log.append(sessionId, batch);
        if (outcome.kind === "appended") appended(batch.records);
        if (scheduler.chance(weather().answerLost)) throw new BatonError("LOG_UNAVAILABLE");
        return outcome;
      }),
    read: (...args) => call((log) => log.read(...args)),
    putSnapshot: (...args) => call((log) => log.putSnapshot(...args)),
    latestSnapshot: (...args) => call((log) => log.latestSnapshot(...args)),
    dropSnapshot: (...args) => call((log) => log.dropSnapshot(...args)),
    trim: (...args) => call((log) => log.trim(...args)),
    renewEpoch: (...args) => call((log) => log.renewEpoch(...args)),
    delete: (...args) => call((log) => log.delete(...args)),
    list: (...args) => call((log) => log.list(...args)),
    revoke: (...args) => call((log) => log.revoke(...args)),
    revocations: (...args) => store().revocations(...args),
    secret: (...args) => store().secret(...args),
    watch: (_sessionId, ring) => {
      const own: Ring = (head) => {
        const times = scheduler.chance(weather().ringLost) ? 0 : scheduler.chance(weather().ringDoubled) ? 2 : 1;
        for (let n = 0; n < times; n++) scheduler.later(() => fate.run(() => ring(head)));
      };
      doorbells.add(own);
      return () => void doorbells.delete(own);
    },
    close: async () => undefined,
  };
}
