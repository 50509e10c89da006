import type { Principal } from "../auth/principal.ts";
import { requiredScope } from "../auth/scopes.ts";
import type { PresenceUpdate, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { checkCustom, hashPayload, type LoggedPayload } from "../session/admit.ts";
import { mapCursor } from "../session/cursor.ts";
import type { Limits } from "../session/limits.ts";
import type { OriginalSender } from "../session/original/sender.ts";
import { isPathValid } from "../session/path.ts";
import { assertNever } from "../session/reasons.ts";
import { type Refusal, refuse } from "../session/refusal.ts";
import { receivedPayload } from "./metrics/labels.ts";
import type { Origin } from "./participant.ts";
import type { Identity, RelayPayload } from "./payload.ts";
import type { Rate } from "./rate.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";
import { rotateToken } from "./rotate.ts";

/** Whoever says something in a room: a stream, or a `Publish` call. */
export interface Voice {
  readonly identity: Identity;
  readonly principal: Principal;
  readonly generation: number;
  readonly rate: Rate;
  readonly unackedBytes: number;
  readonly receivedBytes: number;
  /** Whether it can be that its client has applied the records up to here. */
  confirms(seq: number): boolean;
  /** Says something to it alone. */
  tell(payload: RelayPayload): void;
  /** Says that a message is not taken. */
  refuse(refusal: Refusal, clientSeq: number): void;
  /** Of a call that stops at its first refusal; undefined on a stream. */
  readonly call?: { broken: boolean };
  /** Of a client of the original contract. */
  readonly original?: OriginalSender;
  /** Where the answer to its next logged message goes. */
  origin(bytes: number): Origin;
}

/**
 * One message of a client that has joined: may it, does it fit the rates, and where it goes. Refusals are told to the
 * voice; a rejection ends its stream or call.
 */
export async function receive(
  relay: Relay,
  room: Room,
  voice: Voice,
  message: SessionMessage,
  bytes: number,
): Promise<void> {
  const { payload } = message;
  const clientSeq = Number(message.clientSeq);
  relay.meters.receive(receivedPayload(payload.case), bytes);
  const refused = checkSender(voice.identity, message) ?? checkScope(voice.principal, payload.case);
  switch (payload.case) {
    case "edit":
    case "comment":
      return submit(relay, room, voice, payload, clientSeq, bytes, refused);
    case "custom":
      if (!payload.value.ephemeral) return submit(relay, room, voice, payload, clientSeq, bytes, refused);
      break;
    default:
      break;
  }
  const refusal = checkRate(relay, voice) ?? refused;
  if (refusal !== undefined) return voice.refuse(refusal, clientSeq);
  const { identity } = voice;
  const nowMs = relay.now();
  switch (payload.case) {
    case "custom": {
      const invalid = checkCustom(payload.value);
      if (invalid !== undefined) return voice.refuse(invalid, clientSeq);
      room.tell(room.roster.active(identity.key, nowMs));
      return room.broadcast(identity, `custom:${payload.value.type}`, payload);
    }
    case "cursor": {
      if (!isPathValid(payload.value.filePath)) return voice.refuse(refuse("PATH_INVALID"), clientSeq);
      const value = mapCursor(room.state, payload.value, relay.limits.fileHistory);
      // Readers are as many as there may be: they are told as a count, and their cursors to nobody.
      if (voice.generation === 0) return;
      room.tell(room.roster.active(identity.key, nowMs));
      room.roster.moved(identity.key, value);
      return room.broadcast(identity, "cursor", { case: "cursor", value });
    }
    case "presence":
      return say(room, voice, payload.value, nowMs);
    case "heartbeat": {
      const { sentAt, echo, receivedSeq } = payload.value;
      if (!voice.confirms(Number(receivedSeq))) return voice.refuse(refuse("HEARTBEAT_INVALID"), clientSeq);
      if (echo !== 0n || sentAt === 0n) return;
      const value = { sentAt: BigInt(nowMs), echo: sentAt, receivedBytes: BigInt(voice.receivedBytes) };
      return voice.tell({ case: "heartbeat", value });
    }
    case "tokenRotation":
      return voice.tell(await rotateToken(relay, room, voice, payload.value.token));
    case "join":
      return voice.refuse(refuse("ALREADY_JOINED"), clientSeq);
    case "ack":
    case "welcome":
    case "tokenStatus":
    case "snapshot":
    case "fault":
    case "goAway":
      return voice.refuse(refuse("PAYLOAD_UNEXPECTED"), clientSeq);
    case undefined:
      // What a newer client says is a field that is not known here.
      if (message.$unknown !== undefined) return voice.refuse(refuse("PAYLOAD_UNKNOWN"), clientSeq);
      return voice.refuse(refuse("PAYLOAD_MISSING"), clientSeq);
    default:
      return assertNever(payload);
  }
}

const maxDisplayNameLength = 128;

/** What a client says of itself is told by the instance that holds its stream. */
function say(room: Room, { identity, generation }: Voice, presence: PresenceUpdate, nowMs: number): void {
  const { status } = presence;
  const displayName = presence.displayName.slice(0, maxDisplayNameLength);
  const here = room.participants.ofClient(identity.key);
  if (here !== undefined || room.roster.isOwn(identity.key)) {
    room.says(identity, here?.generation ?? 0, { status, displayName }, nowMs);
  } else {
    room.elsewhere.tellHeard(identity, generation, { says: { status, displayName } });
  }
}

function submit(
  relay: Relay,
  room: Room,
  voice: Voice,
  payload: LoggedPayload,
  clientSeq: number,
  bytes: number,
  refused: Refusal | undefined,
): void {
  // Without a claim nothing it sends can come into the log; what it sent under one before, its Welcome told of.
  const unclaimed = voice.generation === 0 ? (refused ?? refuse("SCOPE_MISSING")) : undefined;
  const limited = checkRate(relay, voice) ?? unclaimed ?? checkUnacked(voice, bytes, relay.limits);
  if (limited !== undefined) {
    voice.refuse(limited, clientSeq);
    return;
  }
  const { identity, principal, generation } = voice;
  const { userId, clientId, key } = identity;
  room.tell(room.roster.active(key, relay.now()));
  const submission = {
    userId,
    clientId,
    generation,
    clientSeq,
    payload,
    payloadHash: hashPayload(payload),
    isAdmin: principal.scopes.has("session:admin"),
    refusal: refused,
    call: voice.call,
    original: voice.original,
  };
  room.pipeline.submit(voice.origin(bytes), submission, bytes);
}

function checkSender({ sessionId, userId, clientId }: Identity, message: SessionMessage): Refusal | undefined {
  const same = (said: string, own: string) => said === "" || said === own;
  if (same(message.sessionId, sessionId) && same(message.userId, userId) && same(message.clientId, clientId)) {
    return undefined;
  }
  return refuse("WRONG_SENDER");
}

function checkScope({ scopes }: Principal, payload: SessionMessage["payload"]["case"]): Refusal | undefined {
  const scope = requiredScope(payload);
  return scope === undefined || scopes.has(scope)
    ? undefined
    : refuse("SCOPE_MISSING", `the token lacks the scope ${scope}`);
}

function checkRate(relay: Relay, { rate }: Voice): Refusal | undefined {
  const retryAfterMs = rate.take(relay.now());
  if (retryAfterMs === 0) return undefined;
  return refuse("RATE_LIMITED", `rate ${relay.limits.messagesPerSecond}/s`, retryAfterMs);
}

function checkUnacked({ unackedBytes }: Voice, bytes: number, limits: Limits): Refusal | undefined {
  return unackedBytes + bytes > limits.unackedBytes && unackedBytes > 0
    ? refuse("UNACKED_LIMIT", `${limits.unackedBytes} bytes may be unacked`, unackedRetryMs)
    : undefined;
}

const unackedRetryMs = 200;
