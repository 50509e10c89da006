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
import { isOriginal, joinOriginal } from "./original-stream.ts";
import type { Participant } from "./participant.ts";
import { encodeControl } from "./payload.ts";
import { receive } from "./receive.ts";
import type { Relay } from "./relay.ts";
import type { Inbound, StreamCall, StreamHandler } from "./stream.ts";
import { StreamVoice } from "./stream-voice.ts";
import { within } from "./within.ts";

/** `CollaborativeSession`: one stream both ways. */
export function collaborate(relay: Relay): StreamHandler<typeof SessionMessageSchema> {
  return async (call) => {
    greet(relay, call);
    const principal = await authenticate(relay, call.headers);
    const inbound = call.inbound[Symbol.asyncIterator]();
    const first = await within(relay.limits.firstMessageMs, inbound.next(), "FIRST_MESSAGE_TIMEOUT");
    if (first.done === true) return call.outlet.end();
    const { message, bytes } = first.value;
    if (message.payload.case !== "join" && !isOriginal(message)) throw new BatonError("NOT_JOINED");
    assertSessionId(message.sessionId);
    if (message.userId !== "" && message.userId !== principal.userId) throw new BatonError("WRONG_SENDER");
    const conversation = await joinStream(relay, call, principal, message);
    hear(relay, conversation.joined.participant, bytes);
    await converse(relay, call, conversation, inbound, isOriginal(message) ? first.value : undefined);
  };
}

/** A stream that has joined, and what is done with each message that comes up on it. */
interface Conversation {
  readonly joined: Joined;
  receive(message: SessionMessage, bytes: number): Promise<void>;
}

async function joinStream(
  relay: Relay,
  call: StreamCall<typeof SessionMessageSchema>,
  principal: Principal,
  { sessionId, payload }: SessionMessage,
): Promise<Conversation> {
  if (payload.case !== "join") return await joinOriginal(relay, call, principal, sessionId);
  const { outlet, streamId, signal } = call;
  const who = { sessionId, join: payload.value, principal };
  const joined = await joinSession(relay, {
    ...who,
    carriage: "bidi",
    dialect: "contract",
    outlet,
    streamId,
    signal,
  });
  const voice = new StreamVoice(joined.participant);
  return { joined, receive: (message, bytes) => receive(relay, joined.room, voice, message, bytes) };
}

/** `Subscribe`: the stream down for whoever sends up by `Publish`. Once it has joined, it holds nothing of the request. */
export function subscribe(relay: Relay): StreamHandler<typeof SubscribeRequestSchema> {
  return (call) => {
    const { signal } = call;
    return enter(relay, call).then(async (joined) => {
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
  const { outlet, streamId, signal } = call;
  const who = { sessionId, join, principal };
  return await joinSession(relay, { ...who, carriage: "split", dialect: "contract", outlet, streamId, signal });
}

/** The first frame: headers go out with it, proxies see a living stream, and clients that wait for either go on. */
function greet(relay: Relay, { outlet }: StreamCall<never> | Pick<StreamCall<never>, "outlet">): void {
  const nobody = { sessionId: "", userId: "", clientId: "", key: "" };
  const value = { sentAt: BigInt(relay.now()) };
  // Whether the peer keeps up is asked at the next write.
  void outlet.write(encodeControl(nobody, { case: "heartbeat", value }, relay.now(), outlet.form));
}

/** Hears a joined client out, until it has said all, is gone, or is sent away. */
async function converse(
  relay: Relay,
  call: StreamCall<typeof SessionMessageSchema>,
  { joined, receive }: Conversation,
  inbound: AsyncIterator<Inbound<typeof SessionMessageSchema>>,
  first: Inbound<typeof SessionMessageSchema> | undefined,
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
