import type { Limits } from "../../../src/session/limits.ts";
import { type Payload, type RelaySetup, type Stream, startRelay, type TestRelay } from "../harness.ts";

/** Shows what happens at one limit, and one beyond it, over a real relay. */
export type AtLimit = () => Promise<void>;

const neverMs = 1e9;

/** A relay on which time passes only where a test lets it, and on which nothing but the given limits is in the way. */
export async function withRelay(
  limits: Partial<Limits>,
  run: (relay: TestRelay) => Promise<void>,
  setup: RelaySetup = {},
): Promise<void> {
  const wide = { heartbeatMs: neverMs, streamAgeMs: neverMs, messagesPerSecond: 1e6, messagesBurst: 1e6 };
  const relay = await startRelay({ isClockStill: true, ...setup, limits: { ...wide, ...limits } });
  try {
    await run(relay);
  } finally {
    await relay.stop();
  }
}

/** A participant that was told its Welcome. */
export async function enter(relay: TestRelay, as = "alice", session = "demo", clientId = "c"): Promise<Stream> {
  const stream = await relay.join({ as, session, clientId });
  await stream.take("welcome");
  return stream;
}

/** The reason with which a stream that may not come in ends. */
export async function refusalOf(relay: TestRelay, as: string, session = "demo", clientId = "c") {
  const stream = await relay.join({ as, session, clientId });
  return (await stream.ended).fault?.reason;
}

/** What becomes of a logged message: "ack", or the reason of the fault. */
export async function answerTo(stream: Stream, payload: Payload, clientSeq: bigint): Promise<string> {
  stream.send(payload, { clientSeq });
  const isAnswer = ({ payload: { case: kind, value } }: (typeof stream.received)[number]) =>
    (kind === "ack" || kind === "fault") && value.clientSeq === clientSeq;
  for (;;) {
    const kind = stream.received.find(isAnswer)?.payload.case;
    if (kind === "ack") return (await stream.takeMessage("ack", isAnswer)) && "ack";
    if (kind === "fault") {
      const { payload: fault } = await stream.takeMessage("fault", isAnswer);
      return fault.case === "fault" ? fault.value.reason : "";
    }
    const ended = await Promise.race([stream.ended, new Promise<undefined>((resolve) => setTimeout(resolve, 5))]);
    if (ended !== undefined) return `ended ${ended.fault?.reason}`;
  }
}

/** A logged message, the least that there is. */
export const custom: Payload = { case: "custom", value: {} };
