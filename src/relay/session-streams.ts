import { create } from "@bufbuild/protobuf";
import type { Principal } from "../auth/principal.ts";
import type {
  SessionMessage,
  SessionMessageSchema,
  SubscribeRequestSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import { JoinSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { authenticate } from "./authenticate.ts";
import { assertSessionId, type Joined, joinSession } from "./join.ts";
import { reasonOf } from "./metrics/meters.ts";
import { isOriginal, joinOriginal } from "./original-stream.ts";
import type { Participant } from "./participant.ts";
import { encodeControl } from "./payload.ts";
import { receive } from "./receive.ts";
import type { Relay } from "./relay.ts";
import type { Inbound, StreamCall, StreamHandler } from "./stream.ts";
import { StreamVoice } from "./stream-voice.ts";
import { parseTraceparent } from "./traces/traceparent.ts";
import { within } from "./within.ts";

/** `CollaborativeSession`: one stream both ways. */
export function collaborate(relay: Relay): StreamHandler<typeof SessionMessageSchema> {
  return async (call) => {
    const conversation = await countRefusal(relay, call, begin(relay, call));
    if (conversation === undefined) return call.outlet.end();
    await converse(relay, call, conversation);
  };
}

/** A stream that has joined, and what is done with each message that comes up on it. */
interface Conversation {
  readonly joined: Joined;
  readonly inbound: AsyncIterator<Inbound<typeof SessionMessageSchema>>;
  /** A first message that says more than that its client joins. */
  readonly first: Inbound<typeof SessionMessageSchema> | undefined;
  receive(message: SessionMessage, bytes: number): Promise<void>;
}

/** Undefined: its client closed it without a word. */
async function begin(relay: Relay, call: StreamCall<typeof SessionMessageSchema>): Promise<Conversation | undefined> {
  greet(relay, call);
  const principal = await authenticate(relay, call.headers);
  const inbound = call.inbound[Symbol.asyncIterator]();
  const first = await within(relay.limits.firstMessageMs, inbound.next(), "FIRST_MESSAGE_TIMEOUT");
  if (first.done === true) return undefined;
  const { message, bytes } = first.value;
  if (message.payload.case !== "join" && !isOriginal(message)) throw new BatonError("NOT_JOINED");
  assertSessionId(message.sessionId);
  if (message.userId !== "" && message.userId !== principal.userId) throw new BatonError("WRONG_SENDER");
  const joined = await joinStream(relay, call, principal, message);
  hear(relay, joined.joined.participant, bytes);
  if (!isOriginal(message)) relay.meters.receive("join", bytes);
  return { ...joined, inbound, first: isOriginal(message) ? first.value : undefined };
}

/** Counts why a stream did not come in. Whoever went away was not refused. */
async function countRefusal<T>(
  { meters }: Relay,
  { signal }: Pick<StreamCall<never>, "signal">,
  entering: Promise<T>,
): Promise<T> {
  try {
    return await entering;
  } catch (error) {
    const cause: unknown = signal.aborted ? signal.reason : error;
    if (!signal.aborted || cause instanceof BatonError) meters.joinRefusals.add(reasonOf(cause));
    throw error;
  }
}

async function joinStream(
  relay: Relay,
  call: StreamCall<typeof SessionMessageSchema>,
  principal: Principal,
  { sessionId, payload }: SessionMessage,
): Promise<Pick<Conversation, "joined" | "receive">> {
  if (payload.case !== "join") return await joinOriginal(relay, call, principal, sessionId);
  const { outlet, streamId, signal, protocol } = call;
  const who = { sessionId, join: payload.value, principal };
  const joined = await joinSession(relay, {
    ...who,
    carriage: "bidi",
    dialect: "contract",
    protocol,
    outlet,
    streamId,
    signal,
    trace: parseTraceparent(call.headers),
  });
  const voice = new StreamVoice(joined.participant);
  return { joined, receive: (message, bytes) => receive(relay, joined.room, voice, message, bytes) };
}

/** `Subscribe`: the stream down for whoever sends up by `Publish`. Once it has joined, it holds nothing of the request. */
export function subscribe(relay: Relay): StreamHandler<typeof SubscribeRequestSchema> {
  return (call) => {
    const { signal } = call;
    return countRefusal(relay, call, enter(relay, call)).then(async (joined) => {
      await gone(signal);
      leave(joined, signal);
    });
  };
}

async function enter(relay: Relay, call: StreamCall<typeof SubscribeRequestSchema>): Promise<Joined> {
  greet(relay, call);
  const principal = await authenticate(relay, call.headers);
  const inbound = call.inbound[Symbol.asyncIterator]();
  const first = await within(relay.limits.firstMessageMs, inbound.next(), "FIRST_MESSAGE_TIMEOUT");
  if (first.done === true) throw new BatonError("MALFORMED", "Subscribe takes one request");
  const { sessionId, join = create(JoinSchema) } = first.value.message;
  const { outlet, streamId, signal, protocol } = call;
  const who = { sessionId, join, principal, protocol };
  const joined = await joinSession(relay, {
    ...who,
    carriage: "split",
    dialect: "contract",
    outlet,
    streamId,
    signal,
    trace: parseTraceparent(call.headers),
  });
  relay.meters.receive("join", first.value.bytes);
  return joined;
}

/** The first frame: headers go out with it, proxies see a living stream, and clients that wait for either go on. */
function greet(relay: Relay, { outlet }: StreamCall<never> | Pick<StreamCall<never>, "outlet">): void {
  const nobody = { sessionId: "", userId: "", clientId: "", key: "" };
  const value = { sentAt: BigInt(relay.now()) };
  const frame = encodeControl(nobody, { case: "heartbeat", value }, relay.now(), outlet.form);
  relay.meters.writes += 1;
  relay.meters.send("heartbeat", 1, frame.length);
  // Whether the peer keeps up is asked at the next write.
  void outlet.write(frame);
}

/** Hears a joined client out, until it has said all, is gone, or is sent away. */
async function converse(
  relay: Relay,
  call: StreamCall<typeof SessionMessageSchema>,
  { joined, receive, inbound, first }: Conversation,
): Promise<void> {
  const { room, participant } = joined;
  let heard = 0;
  try {
    if (first !== undefined) await receive(first.message, first.bytes);
    for (;;) {
      const next = await inbound.next();
      if (next.done === true) break;
      room.expire(relay.now());
      if (!room.participants.has(participant.streamId)) return;
      hear(relay, participant, next.value.bytes);
      await receive(next.value.message, next.value.bytes);
      await letOthersGo(relay, participant, ++heard);
    }
  } catch (error) {
    if (call.signal.aborted) return leave(joined, call.signal);
    room.end(
      participant,
      error instanceof BatonError ? error : new BatonError("INTERNAL", undefined, { cause: error }),
    );
    throw error;
  }
  // The client has closed its half: it gets its acks, then the stream ends well.
  await participant.answered();
  await participant.reader.flushed();
  room.end(participant);
}

/** Messages of one stream that are handled in one turn of the event loop, at the most. */
const messagesPerTurn = 32;

/** A stream that sends faster than it may is read no faster than it may; one that sends much lets others in between. */
async function letOthersGo({ now, defer }: Relay, { rate }: Participant, heard: number): Promise<void> {
  const waitMs = rate.waitMs(now());
  if (waitMs > 0) await new Promise<void>((resolve) => setTimeout(resolve, waitMs));
  else if (heard % messagesPerTurn === 0) await new Promise<void>((resolve) => defer(resolve));
}

function leave({ room, participant }: Joined, signal: AbortSignal): void {
  const reason: unknown = signal.reason;
  room.end(participant, reason instanceof BatonError ? reason : undefined);
}

function hear(relay: Relay, participant: Participant, bytes: number): void {
  participant.heard(relay.now());
  participant.receivedBytes += bytes;
}

async function gone(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
