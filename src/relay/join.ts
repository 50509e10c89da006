import { getLogger } from "@logtape/logtape";
import { type SpanContext, SpanKind } from "@opentelemetry/api";
import { assertMayEnter, type Principal } from "../auth/principal.ts";
import type { ResumeClaims } from "../auth/resume-token.ts";
import { mayWrite } from "../auth/scopes.ts";
import type { Join, Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import { Join_History as History, Welcome_Outcome as Outcome } from "../gen/codereview/v1/codereview_pb.ts";
import { clientIdPattern, sessionIdPattern } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import { type JoinPlan, planJoin } from "../session/resume.ts";
import { snapshotParts } from "../session/snapshot-parts.ts";
import { clientKey, lastClientSeq, type SessionState } from "../session/state.ts";
import { claimClient } from "./claim.ts";
import { createParticipant } from "./create-participant.ts";
import { assertNotRevoked } from "./end-streams.ts";
import { openSnapshot } from "./load.ts";
import type { JoinOutcome } from "./metrics/labels.ts";
import type { Dialect, Participant } from "./participant.ts";
import type { Identity } from "./payload.ts";
import { learnFirst, reachResume } from "./reach-resume.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";
import type { Outlet } from "./stream.ts";
import { inSpan, spanAttributes } from "./traces/traces.ts";
import { createWelcome, protocol } from "./welcome.ts";

const logger = getLogger(["baton", "join"]);

export interface JoinCall {
  readonly sessionId: string;
  readonly join: Join;
  readonly principal: Principal;
  readonly carriage: Participant["carriage"];
  readonly dialect: Dialect;
  readonly protocol: Participant["protocol"];
  readonly outlet: Outlet;
  readonly streamId: string;
  readonly signal: AbortSignal;
  /** The span of whoever called. */
  readonly trace: SpanContext | undefined;
}

export interface Joined {
  readonly room: Room;
  readonly participant: Participant;
}

/** The same, of a stream that has its Welcome. */
export interface Entered extends Joined {
  /** Of the Welcome. */
  readonly resumeToken: string;
}

/** How often a join starts again because its session's room ended under it (a new epoch, a store that came back). */
const maxAttempts = 3;

export function assertSessionId(sessionId: string): void {
  if (!sessionIdPattern.test(sessionId)) throw new BatonError("SESSION_ID_INVALID");
}

/** Takes a stream into its session: claims its client, says Welcome, and lets it read on from where it was. */
export async function joinSession(relay: Relay, call: JoinCall): Promise<Entered> {
  const { sessionId, streamId, carriage, protocol, trace } = call;
  const describe = () => {
    const attributes = spanAttributes({ sessionId, streamId, carriage, protocol });
    return { name: "baton.join", kind: SpanKind.SERVER, parent: trace, attributes };
  };
  return await inSpan(relay.traces, describe, (span) =>
    enterSession(relay, span === undefined ? call : { ...call, trace: span.spanContext() }),
  );
}

async function enterSession(relay: Relay, call: JoinCall): Promise<Entered> {
  const { sessionId, join, principal } = call;
  assertSessionId(sessionId);
  assertMayEnter(principal, sessionId);
  if (join.protocol > protocol) throw new BatonError("PROTOCOL_UNSUPPORTED");
  const { userId } = principal;
  relay.users.of(userId, relay.now()).assertRate(relay.now());
  const resume =
    join.resumeToken === ""
      ? undefined
      : await relay.resumeTokens.open(join.resumeToken, { sessionId, userId }, relay.now());
  const clientId = clientIdOf(join, resume) ?? relay.newId();
  const identity = { sessionId, userId, clientId, key: clientKey(userId, clientId) };
  return await relay.admission.run(call.signal, async () => {
    for (let attempt = 1; ; attempt++) {
      const joined = await attemptJoin(relay, call, identity, resume);
      if (joined !== undefined) return joined;
      if (attempt === maxAttempts) throw new BatonError("LOG_UNAVAILABLE");
    }
  });
}

function clientIdOf(join: Join, resume: ResumeClaims | undefined): string | undefined {
  if (join.clientId !== "" && !clientIdPattern.test(join.clientId)) throw new BatonError("CLIENT_ID_INVALID");
  if (resume === undefined) return join.clientId === "" ? undefined : join.clientId;
  if (join.clientId !== "" && join.clientId !== resume.clientId) throw new BatonError("RESUME_TOKEN_INVALID");
  return resume.clientId;
}

/** Undefined: the room ended meanwhile. */
async function attemptJoin(
  relay: Relay,
  call: JoinCall,
  identity: Identity,
  resume: ResumeClaims | undefined,
): Promise<Entered | undefined> {
  const { principal, join } = call;
  relay.users.of(identity.userId, relay.now()).visit(identity.sessionId, relay.now());
  const room = await relay.rooms.open(identity.sessionId);
  const writes = mayWrite(principal.scopes);
  assertPlace(relay, room, identity, writes);
  const generation = writes ? await claim(relay, room, identity) : 0;
  if (generation === undefined) return undefined;
  if (resume !== undefined) await reachResume(relay, room, Number(join.lastSeq), resume);
  const { state } = room;
  const token = await relay.resumeTokens.issue(
    { ...identity, epoch: state.epoch, generation, head: state.head },
    relay.now(),
  );
  const request = { history: join.history, lastSeq: Number(join.lastSeq), resume };
  await learnFirst(relay, room, planJoin(state, room.first, request));
  const early = planJoin(state, room.first, request);
  if (early.kind === "tail-lost") {
    await room.loseTail();
    return undefined;
  }
  const stored = await storedState(relay, room, early);
  if (stored === "moved") return undefined;
  if (call.signal.aborted) throw new BatonError("CLIENT_SILENT");
  // From here on nothing waits: what is planned is what is read.
  if (room.ended !== undefined) return undefined;
  const plan = planJoin(state, room.first, request);
  if (plan.kind === "tail-lost" || plan.storedSnapshotSeq !== early.storedSnapshotSeq) return undefined;
  assertPlace(relay, room, identity, writes);
  assertNotRevoked(relay, principal);
  // Where an old snapshot stands in for what was trimmed, the Welcome counts as of that; what follows tells the rest.
  const last = lastClientSeq(stored ?? state, identity.key);
  const next = lastClientSeq(state, identity.key) + 1;
  const pendingFrom = Number(join.pendingFrom);
  const isAcked = writes && call.dialect === "contract";
  const participant = createParticipant(relay, room, {
    ...call,
    identity,
    generation,
    ackFrom: isAcked ? Math.min(next, pendingFrom === 0 ? next : pendingFrom) : Number.POSITIVE_INFINITY,
    snapshot: snapshotOf(plan, state, stored),
    fromSeq: plan.fromSeq,
    // What its Welcome promises it gets as it was promised, and who asked for the whole log, all of that.
    promisedSeq: join.history === History.FULL ? Number.POSITIVE_INFINITY : state.head,
    resynced: plan.outcome === Outcome.RESYNCED,
  });
  room.enter(participant);
  const place = { outcome: plan.outcome, resumeToken: token, lastClientSeq: last };
  const welcome = createWelcome(relay, room, participant, place);
  const isBehind = plan.snapshot || plan.fromSeq <= state.head;
  participant.reader.welcome({ case: "welcome", value: welcome });
  if (isBehind) traceReplay(relay, participant);
  relay.meters.joins.add(joinOutcome(plan.outcome));
  logger.info("stream joined", {
    streamId: call.streamId,
    session: identity.sessionId,
    user: identity.userId,
    client: identity.clientId,
    clientName: join.clientName,
    dialect: call.dialect,
    outcome: plan.outcome,
    traceId: call.trace?.traceId,
  });
  return { room, participant, resumeToken: token };
}

/** The next generation of the client; undefined where the room does not hold what the store says. */
async function claim(relay: Relay, room: Room, identity: Identity): Promise<number | undefined> {
  const claimed = await claimClient(relay, room, identity);
  if (claimed === undefined) return undefined;
  // What was in the log when the claim was made belongs to what the Welcome tells.
  await room.pipeline.catchUp(claimed.head);
  return room.ended === undefined ? claimed.generation : undefined;
}

function assertPlace(relay: Relay, room: Room, identity: Identity, writes: boolean): void {
  // It takes the place of its own older stream.
  if (room.participants.ofClient(identity.key)?.mayWrite === writes) return;
  const { writers, readers } = relay.limits;
  if (writes ? room.writerCount(identity.key) >= writers : room.readerCount >= readers) {
    throw new BatonError("SESSION_FULL", undefined, { retryAfterMs: fullRetryMs });
  }
  relay.users.of(identity.userId, relay.now()).assertStream();
}

/** Until it has taken what there was when it came, or has ended. */
function traceReplay(relay: Relay, { reader, trace, streamId, identity: { sessionId } }: Participant): void {
  if (relay.traces === undefined) return;
  const attributes = spanAttributes({ sessionId, streamId });
  const describe = () => ({ name: "baton.replay", kind: SpanKind.INTERNAL, parent: trace, attributes });
  void inSpan(relay.traces, describe, () => reader.flushed());
}

function joinOutcome(outcome: Outcome): JoinOutcome {
  if (outcome === Outcome.RESYNCED) return "resynced";
  return outcome === Outcome.RESUMED ? "resumed" : "new";
}

/** When somebody who found no place may try again. */
const fullRetryMs = 10_000;

/**
 * The snapshot that stands in for what was trimmed, as one of the present epoch; undefined: none is wanted. Moved: the log
 * is not what the plan was made of any more.
 */
async function storedState(relay: Relay, room: Room, plan: JoinPlan): Promise<SessionState | "moved" | undefined> {
  if (plan.kind === "tail-lost" || plan.storedSnapshotSeq === 0) return undefined;
  const { sessionId, epoch } = room.state;
  const stored = await relay.log.latestSnapshot(sessionId, plan.storedSnapshotSeq);
  const kept = await relay.log.describe(sessionId);
  if (kept?.epoch !== epoch) {
    room.fail(new BatonError("EPOCH_CHANGED"));
    return "moved";
  }
  if (kept.first - 1 > plan.storedSnapshotSeq) return "moved";
  if (stored?.seq !== plan.storedSnapshotSeq) throw new BatonError("LOG_DAMAGED");
  return { ...openSnapshot(sessionId, stored), epoch };
}

function snapshotOf(
  plan: Extract<JoinPlan, { kind: "welcome" }>,
  state: SessionState,
  stored: SessionState | undefined,
): Iterator<Snapshot> | undefined {
  if (stored !== undefined) return snapshotParts(stored);
  return plan.snapshot ? snapshotParts(state) : undefined;
}
