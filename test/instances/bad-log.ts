import type { LogRecord, Ring, SessionLog } from "../../src/durable/session-log.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { Evidence } from "./evidence.ts";
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
 * doorbell promises nothing. Each call of a session brings along what this instance has seen of its log.
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
  const evidence = new Evidence();
  const hop = () => new Promise<void>((resolve) => scheduler.later(() => fate.run(resolve)));

  const call = async <T>(run: (log: SessionLog) => Promise<T>): Promise<T> => {
    await hop();
    const [outcome] = await Promise.allSettled([run(store())]);
    await hop();
    if (outcome.status === "rejected") throw outcome.reason;
    return outcome.value;
  };

  const callOf = <T>(sessionId: string, run: (log: SessionLog) => Promise<T>): Promise<T> =>
    call(async (log) => {
      await evidence.holdAgainst(log, sessionId);
      return await run(log);
    });

  return {
    describe: (sessionId) => callOf(sessionId, (log) => log.describe(sessionId)),
    claim: (sessionId, ...rest) => callOf(sessionId, (log) => log.claim(sessionId, ...rest)),
    append: (sessionId, batch) =>
      callOf(sessionId, async (log) => {
        const outcome = await log.append(sessionId, batch);
        if (outcome.kind === "appended") appended(batch.records);
        if (scheduler.chance(weather().answerLost)) throw new BatonError("LOG_UNAVAILABLE");
        if (outcome.kind === "appended") await evidence.saw(log, sessionId, batch.records);
        if (outcome.kind === "conflict") await evidence.saw(log, sessionId, outcome.records);
        return outcome;
      }),
    read: (sessionId, ...rest) =>
      callOf(sessionId, async (log) => {
        const records = await log.read(sessionId, ...rest);
        await evidence.saw(log, sessionId, records);
        return records;
      }),
    putSnapshot: (sessionId, ...rest) => callOf(sessionId, (log) => log.putSnapshot(sessionId, ...rest)),
    latestSnapshot: (sessionId, ...rest) => callOf(sessionId, (log) => log.latestSnapshot(sessionId, ...rest)),
    dropSnapshot: (sessionId, ...rest) => callOf(sessionId, (log) => log.dropSnapshot(sessionId, ...rest)),
    trim: (sessionId, ...rest) => callOf(sessionId, (log) => log.trim(sessionId, ...rest)),
    renewEpoch: (sessionId, ...rest) => callOf(sessionId, (log) => log.renewEpoch(sessionId, ...rest)),
    delete: (sessionId, ...rest) => callOf(sessionId, (log) => log.delete(sessionId, ...rest)),
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
