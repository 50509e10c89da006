import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { FaultSchema, SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { reasons } from "../session/reasons.ts";
import type { Refusal } from "../session/refusal.ts";
import type { LoggedMessage } from "../session/state.ts";
import type { SentPayload } from "./metrics/labels.ts";
import type { Meters } from "./metrics/meters.ts";
import { encodeAck } from "./record-frames.ts";
import type { FrameForm } from "./stream.ts";
import { encodeFrame } from "./wire/envelope.ts";

/** Who is on a stream, in which session. */
export interface Identity {
  readonly sessionId: string;
  readonly userId: string;
  readonly clientId: string;
  /** `clientKey` of the two. */
  readonly key: string;
}

/** What the relay says itself. */
export type RelayPayload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;

/** A frame with a message of the relay to one participant. */
export function encodeControl(identity: Identity, payload: RelayPayload, nowMs: number, form: FrameForm): Uint8Array {
  const { sessionId, userId, clientId } = identity;
  if (payload.case === "ack" && form === "binary") {
    const { clientSeq = 0n, seq = 0n, version = 0 } = payload.value;
    const place = { clientSeq: Number(clientSeq), seq: Number(seq), version };
    return encodeAck({ sessionId, userId, clientId, timestampMs: nowMs, ...place });
  }
  const message = create(SessionMessageSchema, { sessionId, userId, clientId, timestamp: BigInt(nowMs), payload });
  return encodeFrame(SessionMessageSchema, message, form);
}

const toldPayloads: ReadonlyMap<RelayPayload["case"], SentPayload> = new Map([
  ["welcome", "welcome"],
  ["ack", "ack"],
  ["heartbeat", "heartbeat"],
  ["tokenStatus", "tokenStatus"],
  ["fault", "fault"],
  ["goAway", "goAway"],
] as const);

/** A message of the relay to one participant, in so many bytes. */
export function countTold(meters: Meters, payload: RelayPayload, bytes: number): void {
  const told = toldPayloads.get(payload.case);
  if (told !== undefined) meters.send(told, 1, bytes);
  if (payload.case === "fault") meters.fault(payload.value.reason);
}

/** What an Ack tells of a record. */
export type Acked = Pick<LoggedMessage, "clientSeq" | "seq" | "version">;

export function ackPayload({ clientSeq, seq, version }: Acked): RelayPayload {
  return { case: "ack", value: { clientSeq: BigInt(clientSeq), seq: BigInt(seq), version } };
}

export function faultPayload({ reason, message, retryAfterMs }: Refusal, clientSeq: number): RelayPayload {
  const { code, action } = reasons[reason];
  const value = create(FaultSchema, {
    code,
    reason,
    message,
    clientSeq: Number.isSafeInteger(clientSeq) ? BigInt(clientSeq) : 0n,
    action,
    retryAfterMs: BigInt(retryAfterMs),
  });
  return { case: "fault", value };
}
