import { create } from "@bufbuild/protobuf";
import { type SpanContext, SpanKind } from "@opentelemetry/api";
import { assertMayEnter, type Principal } from "../auth/principal.ts";
import { checkRotation } from "../auth/rotation.ts";
import { mayWrite } from "../auth/scopes.ts";
import type { PublishRequest, PublishResponse, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import {
  PublishResponseSchema,
  SessionMessageSchema,
  PresenceUpdate_Status as Status,
  TokenStatus_State as TokenState,
} from "../gen/codereview/v1/codereview_pb.ts";
import { clientIdPattern } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import type { Refusal } from "../session/refusal.ts";
import { clientKey } from "../session/state.ts";
import { authenticate } from "./authenticate.ts";
import { claimClient } from "./claim.ts";
import { assertNotRevoked } from "./end-streams.ts";
import { assertSessionId } from "./join.ts";
import { reasonOf } from "./metrics/meters.ts";
import type { Origin, Participant } from "./participant.ts";
import { ackPayload, countTold, faultPayload, type Identity, type RelayPayload } from "./payload.ts";
import type { Rate } from "./rate.ts";
import { reachCall } from "./reach-resume.ts";
import { receive, type Voice } from "./receive.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";
import { putInForce, tokenStatus } from "./rotate.ts";
import { parseTraceparent } from "./traces/traceparent.ts";
import { inSpan, spanAttributes } from "./traces/traces.ts";

/** `Publish`: messages of a client whose stream down is `Subscribe`, or who is not seen at all. */
export async function publish(relay: Relay, request: PublishRequest, headers: Headers): Promise<PublishResponse> {
  const { sessionId, messages } = request;
  const parent = parseTraceparent(headers);
  const describe = () => {
    const attributes = spanAttributes({ sessionId, messages: messages.length });
    return { name: "baton.publish", kind: SpanKind.SERVER, parent, attributes };
  };
  try {
    const response = await inSpan(relay.traces, describe, async (span) =>
      publishAs(relay, request, await authenticate(relay, headers), span?.spanContext() ?? parent),
    );
    relay.meters.publishes.add("OK");
    return response;
  } catch (error) {
    relay.meters.publishes.add(reasonOf(error));
    throw error;
  }
}

/** The same, of a caller who is known. */
export async function publishAs(
  relay: Relay,
  request: PublishRequest,
  principal: Principal,
  trace: SpanContext | undefined,
): Promise<PublishResponse> {
  const { sessionId } = request;
  assertSessionId(sessionId);
  assertMayEnter(principal, sessionId);
  const sender = await senderOf(relay, request, principal);
  const { room, identity, generation } = sender;
  const participant = room.participants.ofClient(identity.key);
  const newest = Math.max(participant?.generation ?? 0, generation > 0 ? room.pipeline.claimOf(identity.key) : 0);
  if (newest > generation) throw new BatonError("SUPERSEDED");
  if (request.resumeToken !== "") {
    if (participant !== undefined) await heard(relay, room, participant, principal);
    else heardForOther(room, sender, principal, request);
    if (sender.rate.freeInMs(relay.now()) === 0) await reachCall(relay, room, identity.key, request.messages);
  }
  const voice = new PublishVoice(sender, principal, participant, trace);
  for (const message of request.messages) {
    // Logged messages go on together, and the core takes none behind one that was refused. All else waits for them.
    if (!isLogged(message)) await voice.replies();
    if (voice.faulted) break;
    assertNotRevoked(relay, principal);
    await receive(relay, room, voice, message, encodedBytes(message));
  }
  const payloads = await voice.replies();
  const replies = payloads.map((payload) => {
    const { userId, clientId } = identity;
    const timestamp = BigInt(relay.now());
    const reply = create(SessionMessageSchema, { sessionId, timestamp, userId, clientId, payload });
    countTold(relay.meters, payload, 0);
    return reply;
  });
  return create(PublishResponseSchema, { replies });
}

interface Sender {
  readonly room: Room;
  readonly identity: Identity;
  readonly generation: number;
  readonly rate: Rate;
}

function isLogged({ payload }: SessionMessage): boolean {
  if (payload.case === "custom") return !payload.value.ephemeral;
  return payload.case === "edit" || payload.case === "comment";
}

function isEphemeral({ payload }: SessionMessage): boolean {
  return payload.case === "cursor" || payload.case === "custom";
}

async function senderOf(relay: Relay, request: PublishRequest, principal: Principal): Promise<Sender> {
  const { sessionId, resumeToken, clientId } = request;
  const { userId } = principal;
  const user = relay.users.of(userId, relay.now());
  if (resumeToken !== "") {
    const claims = await relay.resumeTokens.open(resumeToken, { sessionId, userId }, relay.now());
    user.visit(sessionId, relay.now());
    const room = await relay.rooms.open(sessionId);
    if (claims.epoch !== room.state.epoch) throw new BatonError("EPOCH_CHANGED");
    const key = clientKey(userId, claims.clientId);
    const live = room.participants.ofClient(key);
    // A stream that joined as a reader and was given more rights since writes under the claim that it has now.
    const claimed = live === undefined ? room.roster.get(key)?.generation : live.joinedAsReader ? live.generation : 0;
    const generation = claims.generation === 0 ? (claimed ?? 0) : claims.generation;
    const rate = live?.rate ?? user.unseenRate;
    return { room, identity: { sessionId, userId, clientId: claims.clientId, key }, generation, rate };
  }
  if (!clientIdPattern.test(clientId)) throw new BatonError("CLIENT_ID_INVALID");
  // The call itself counts: it claims and may make a session, and new client ids cost nothing.
  const rate = user.unseenRate;
  user.assertRate(relay.now(), rate);
  user.visit(sessionId, relay.now());
  const room = await relay.rooms.open(sessionId);
  const identity = { sessionId, userId, clientId, key: clientKey(userId, clientId) };
  if (!mayWrite(principal.scopes)) return { room, identity, generation: 0, rate };
  const claim = await claimClient(relay, room, identity);
  if (claim === undefined) throw new BatonError("EPOCH_CHANGED");
  room.claimed(identity, claim.generation);
  return { room, identity, generation: claim.generation, rate };
}

/** Its stream down lives, and lives on the newer of the two tokens. */
async function heard(relay: Relay, room: Room, participant: Participant, principal: Principal): Promise<void> {
  participant.heard(relay.now());
  if (principal.issuedAtMs <= participant.principal.issuedAtMs) return;
  try {
    checkRotation(participant.principal, principal, room.sessionId);
    await putInForce(relay, room, participant, principal);
  } catch (error) {
    relay.meters.rotations.add("rejected");
    throw error;
  }
  relay.meters.rotations.add("accepted");
  room.elsewhere.tellRenewed(participant.identity, participant.generation, principal);
  participant.reader.tell({ case: "tokenStatus", value: tokenStatus(TokenState.ACCEPTED, principal) });
}

/** Its stream down is on another instance, which hears of it by what is told there. */
function heardForOther(
  room: Room,
  { identity, generation }: Sender,
  principal: Principal,
  { messages }: PublishRequest,
) {
  const isInput = messages.some((message) => isLogged(message) || isEphemeral(message));
  const isUrgent = isInput && room.roster.get(identity.key)?.status === Status.IDLE;
  room.elsewhere.heard(identity, generation, principal, { isInput, isUrgent });
}

function encodedBytes(message: SessionMessage): number {
  const { payload } = message;
  switch (payload.case) {
    case "edit":
      return payload.value.changes.reduce((sum, { insert }) => sum + insert.length + 8, payload.value.content.length);
    case "comment":
      return payload.value.text.length;
    case "custom":
      return payload.value.data.length;
    default:
      return 0;
  }
}

/** Gathers the answers of one call, in the order of its messages. */
class PublishVoice implements Voice {
  readonly identity: Identity;
  readonly generation: number;
  readonly rate: Rate;
  readonly receivedBytes = 0;
  readonly call = { broken: false };
  unackedBytes = 0;
  #stopped = false;
  readonly #tokenOfCall: Principal;
  readonly #room: Room;
  readonly #participant: Participant | undefined;
  readonly #trace: SpanContext | undefined;
  readonly #replies: (RelayPayload | Promise<RelayPayload>)[] = [];

  constructor(
    { room, identity, generation, rate }: Sender,
    principal: Principal,
    participant: Participant | undefined,
    trace: SpanContext | undefined,
  ) {
    this.identity = identity;
    this.generation = generation;
    this.rate = rate;
    this.#tokenOfCall = principal;
    this.#room = room;
    this.#participant = participant;
    this.#trace = trace;
  }

  /** What both the call's token and the stream's allow: whichever was rotated to less, counts. */
  get principal(): Principal {
    const { elsewhere } = this.#room;
    const stream = this.#participant?.principal ?? elsewhere.tokenOf(this.identity.key, this.generation);
    if (stream === undefined) return this.#tokenOfCall;
    const scopes = [...this.#tokenOfCall.scopes].filter((scope) => stream.scopes.has(scope));
    return { ...this.#tokenOfCall, scopes: new Set(scopes) };
  }

  /** Something was refused: nothing behind it is taken. What stands before it, and has gathered, still is. */
  get faulted(): boolean {
    return this.#stopped || this.call.broken;
  }

  confirms(seq: number): boolean {
    return this.#participant?.confirms(seq) ?? true;
  }

  tell(payload: RelayPayload): void {
    this.#replies.push(payload);
  }

  refuse(refusal: Refusal, clientSeq: number): void {
    this.#stopped = true;
    this.#replies.push(faultPayload(refusal, clientSeq));
  }

  origin(bytes: number): Origin {
    this.unackedBytes += bytes;
    let settle: (payload: RelayPayload) => void = () => undefined;
    this.#replies.push(
      new Promise<RelayPayload>((resolve) => {
        settle = resolve;
      }),
    );
    return {
      trace: this.#trace,
      logged: (logged) => settle(ackPayload(logged)),
      answered: (clientSeq, answer) => {
        if (answer.kind === "refused") this.call.broken = true;
        settle(answer.kind === "repeated" ? ackPayload(answer.logged) : faultPayload(answer, clientSeq));
      },
    };
  }

  /** Up to and including the first fault. */
  async replies(): Promise<readonly RelayPayload[]> {
    const all = await Promise.all(this.#replies);
    const at = all.findIndex((payload) => payload.case === "fault");
    const fault = all[at];
    if (fault?.case === "fault" && fault.value.reason === "SUPERSEDED") throw new BatonError("SUPERSEDED");
    return at === -1 ? all : all.slice(0, at + 1);
  }
}
