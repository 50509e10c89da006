import type { Principal } from "../auth/principal.ts";
import type {
  SessionMessage,
  SessionMessageSchema,
  SubscribeRequestSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { type Joined, joinSession } from "./join.ts";
import { isOriginal, joinOriginal } from "./original-stream.ts";
import type { Participant } from "./participant.ts";
import { receive } from "./receive.ts";
import type { Relay } from "./relay.ts";
import type { Inbound, StreamCall, StreamHandler } from "./stream.ts";
import { countRefusal, letOthersGo, openConversation, openSubscription } from "./stream-opening.ts";
import { StreamVoice } from "./stream-voice.ts";
import { parseTraceparent } from "./traces/traceparent.ts";

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
  const opening = await openConversation(relay, call);
  if (opening === undefined) return undefined;
  const { principal, inbound, first } = opening;
  const joined = await joinStream(relay, call, principal, first.message);
  hear(relay, joined.joined.participant, first.bytes);
  if (!isOriginal(first.message)) relay.meters.receive("join", first.bytes);
  return { ...joined, inbound, first: isOriginal(first.message) ? first : undefined };
}

async function joinStream(
  relay: Relay,
  call: StreamCall<typeof SessionMessageSchema>,
  principal: Principal,
  { sessionId, payload }: SessionMessage,
): Promise<Pick<Conversation, "joined" | "receive">> {
  if (payload.case !== "join") {
    return await joinOriginal(relay, { ...call, trace: parseTraceparent(call.headers) }, principal, sessionId);
  }
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
  const { principal, sessionId, join, bytes } = await openSubscription(relay, call);
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
  relay.meters.receive("join", bytes);
  return joined;
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
      await letOthersGo(relay, participant.rate, ++heard);
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
