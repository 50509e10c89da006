import { create, type DescMessage } from "@bufbuild/protobuf";
import type { Principal } from "../auth/principal.ts";
import {
  type Join,
  JoinSchema,
  type SessionMessageSchema,
  type SubscribeRequestSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { authenticate } from "./authenticate.ts";
import { assertSessionId } from "./join.ts";
import { reasonOf } from "./metrics/meters.ts";
import { isOriginal } from "./original-stream.ts";
import { encodeControl } from "./payload.ts";
import type { Rate } from "./rate.ts";
import type { Relay } from "./relay.ts";
import type { Inbound, StreamCall } from "./stream.ts";
import { within } from "./within.ts";

/** What it takes to learn who calls, and what they say first. */
export type Entrance = Pick<Relay, "tokens" | "limits" | "now" | "meters">;

export interface Opening<I extends DescMessage> {
  readonly principal: Principal;
  readonly first: Inbound<I>;
  /** What comes behind the first. */
  readonly inbound: AsyncIterator<Inbound<I>>;
}

/** Who calls, and the message by which they join. Undefined: closed without a word. */
export async function openConversation(
  relay: Entrance,
  call: StreamCall<typeof SessionMessageSchema>,
): Promise<Opening<typeof SessionMessageSchema> | undefined> {
  const opening = await open(relay, call);
  if (opening === undefined) return undefined;
  const { message } = opening.first;
  if (message.payload.case !== "join" && !isOriginal(message)) throw new BatonError("NOT_JOINED");
  assertSessionId(message.sessionId);
  if (message.userId !== "" && message.userId !== opening.principal.userId) throw new BatonError("WRONG_SENDER");
  return opening;
}

export interface Subscription {
  readonly principal: Principal;
  readonly sessionId: string;
  readonly join: Join;
  /** Of the request. */
  readonly bytes: number;
}

/** Who calls, and what they subscribe to. */
export async function openSubscription(
  relay: Entrance,
  call: StreamCall<typeof SubscribeRequestSchema>,
): Promise<Subscription> {
  const opening = await open(relay, call);
  if (opening === undefined) throw new BatonError("MALFORMED", "Subscribe takes one request");
  const { message, bytes } = opening.first;
  return {
    principal: opening.principal,
    sessionId: message.sessionId,
    join: message.join ?? create(JoinSchema),
    bytes,
  };
}

async function open<I extends DescMessage>(relay: Entrance, call: StreamCall<I>): Promise<Opening<I> | undefined> {
  greet(relay, call);
  const principal = await authenticate(relay, call.headers);
  const inbound = call.inbound[Symbol.asyncIterator]();
  const first = await within(relay.limits.firstMessageMs, inbound.next(), "FIRST_MESSAGE_TIMEOUT");
  return first.done === true ? undefined : { principal, inbound, first: first.value };
}

/** The first frame: headers go out with it, proxies see a living stream, and clients that wait for either go on. */
function greet({ now, meters }: Entrance, { outlet }: Pick<StreamCall<never>, "outlet">): void {
  const nobody = { sessionId: "", userId: "", clientId: "", key: "" };
  const value = { sentAt: BigInt(now()) };
  const frame = encodeControl(nobody, { case: "heartbeat", value }, now(), outlet.form);
  meters.writes += 1;
  meters.send("heartbeat", 1, frame.length);
  // Whether the peer keeps up is asked at the next write.
  void outlet.write(frame);
}

/** Counts why a stream did not come in. Whoever went away was not refused. */
export async function countRefusal<T>(
  { meters }: Pick<Entrance, "meters">,
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

/** Messages of one stream that are handled in one turn of the event loop, at the most. */
const messagesPerTurn = 32;

/** A stream that sends faster than it may is read no faster than it may; one that sends much lets others in between. */
export async function letOthersGo(
  { now, defer }: Pick<Relay, "now" | "defer">,
  rate: Rate,
  heard: number,
): Promise<void> {
  const waitMs = rate.waitMs(now());
  if (waitMs > 0) await new Promise<void>((resolve) => setTimeout(resolve, waitMs));
  else if (heard % messagesPerTurn === 0) await new Promise<void>((resolve) => defer(resolve));
}
