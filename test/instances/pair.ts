import { createLocalBus } from "../../src/durable/bus-local.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionBus } from "../../src/durable/session-bus.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { tick } from "../../src/relay/ticker.ts";
import type { Limits } from "../../src/session/limits.ts";
import { type Stream, startRelay, type TestRelay } from "../relay/harness.ts";

/** The most that passes at once on a clock that is moved on. */
const stepMs = 5_000;

export interface PairOptions {
  readonly limits?: Partial<Limits>;
  readonly log?: SessionLog;
  /** What the second instance reaches the log by. */
  readonly farLog?: (log: SessionLog) => SessionLog;
  /** Whether the bus carries anything; it does by default. */
  readonly isBusSilent?: boolean;
}

/** Two instances on one log and one bus, whose clocks stand but for `advance`. */
export async function startPair(options: PairOptions = {}) {
  const log = options.log ?? createMemoryLog(Date.now);
  const bus = createLocalBus();
  const start = (own: SessionLog, member: SessionBus): Promise<TestRelay> =>
    startRelay({
      log: own,
      bus: member,
      isClockStill: true,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
  const member = () => (options.isBusSilent === true ? createLocalBus() : bus).member();
  const here = await start(log, member());
  const there = await start(options.farLog?.(log) ?? log, member());
  return {
    log,
    bus,
    here,
    there,
    /** Moves both clocks on, by no more at once than either may be silent for. What they say of it is heard meanwhile. */
    async advance(ms: number) {
      for (let leftMs = ms; leftMs > 0; leftMs -= stepMs) {
        for (const instance of [here, there]) {
          instance.advance(Math.min(leftMs, stepMs));
          tick(instance.relay);
        }
        await new Promise<void>((resolve) => setImmediate(resolve));
      }
    },
    async stop() {
      await Promise.all([here.stop(), there.stop()]);
    },
  };
}

/** A log whose doorbell never rings. */
export const deaf = (log: SessionLog): SessionLog => ({ ...log, watch: () => () => undefined });

/** Says something that is logged, and waits for its Ack. */
export async function say(stream: Stream, clientSeq: number, type = "said"): Promise<bigint> {
  stream.send({ case: "custom", value: { type } }, { clientSeq: BigInt(clientSeq) });
  return (await stream.take("ack")).seq;
}

/** The room of the session on an instance. */
export function roomOf({ relay }: TestRelay, sessionId = "demo") {
  const room = relay.rooms.present(sessionId);
  if (room === undefined) throw new Error("the session is not open there");
  return room;
}
