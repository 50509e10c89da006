import { create } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { Principal } from "../auth/principal.ts";
import type { BusMessage } from "../durable/session-bus.ts";
import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { assertNever, BatonError } from "../session/reasons.ts";
import { type PresenceChange, Roster } from "../session/roster.ts";
import { clientKey, type SessionState } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import { Ephemerals } from "./ephemerals.ts";
import type { SharedPayload } from "./metrics/labels.ts";
import type { Participant } from "./participant.ts";
import type { Identity, RelayPayload } from "./payload.ts";
import { Pipeline, type PublishedRecord } from "./pipeline.ts";
import type { ReaderSource } from "./reader-source.ts";
import { Ring } from "./ring.ts";
import { RoomSource } from "./room-source.ts";
import { SnapshotKeeper } from "./snapshot-keeper.ts";
import type { Users } from "./users.ts";
import { encodeFrame } from "./wire/envelope.ts";

const logger = getLogger(["baton", "room"]);

/**
 * The live part of one session on one instance: who is in it, and the ring that all of them read. It decides nothing
 * about messages; the session core does, and the pipeline brings what the log took.
 */
export class Room {
  readonly sessionId: string;
  readonly roster: Roster;
  readonly ring: Ring;
  readonly pipeline: Pipeline;
  readonly participants = new Map<string, Participant>();
  /** Whether the store has, or had, the session under the room's epoch. */
  isKept: boolean;
  /** The stream of each client: the newest; an older one has been superseded. */
  readonly #byClient = new Map<string, Participant>();
  readonly #context: RelayContext;
  readonly #users: Users;
  readonly #ephemerals: Ephemerals;
  readonly #snapshots: SnapshotKeeper;
  readonly #leaveBus: () => void;
  #ended: BatonError | undefined;
  /** Before that no token of a participant ends. */
  #earliestEndMs = Number.POSITIVE_INFINITY;
  /** Since when nobody is in it or wrote to it, ms since the Unix epoch. */
  #emptySinceMs: number;

  constructor(
    context: RelayContext,
    users: Users,
    state: SessionState,
    { first, isKept, snapshotSeq }: { readonly first: number; readonly isKept: boolean; readonly snapshotSeq: number },
  ) {
    this.#context = context;
    this.#users = users;
    this.isKept = isKept;
    this.sessionId = state.sessionId;
    this.roster = new Roster(context.limits);
    this.ring = new Ring(context.limits.ringBytes, (...sent) => context.meters.send(...sent));
    this.#ephemerals = new Ephemerals(context.limits.ringBytes);
    this.pipeline = new Pipeline(context, state, {
      published: (records) => this.#published(records),
      superseded: (key, generation) => this.#supersede(key, generation),
      failed: (error) => this.fail(error),
    });
    this.#snapshots = new SnapshotKeeper(context, state, first, snapshotSeq);
    this.#leaveBus = context.bus.subscribe(state.sessionId, (message) => this.#heard(message));
    this.#emptySinceMs = context.now();
  }

  /** As the log has it. */
  get state(): SessionState {
    return this.pipeline.state;
  }

  /** The first record that the log keeps. */
  get first(): number {
    return this.#snapshots.first;
  }

  /** Why the room takes nothing more; whoever needs it opens it anew. */
  get ended(): BatonError | undefined {
    return this.#ended;
  }

  /** For how long it has been of no use to anybody. */
  unusedMs(nowMs: number): number {
    return this.participants.size === 0 && this.pipeline.idle ? nowMs - this.#emptySinceMs : 0;
  }

  /** Participants for which this holds. */
  count(holds: (participant: Participant) => boolean): number {
    let count = 0;
    for (const participant of this.participants.values()) if (holds(participant)) count += 1;
    return count;
  }

  participantOf(key: string): Participant | undefined {
    return this.#byClient.get(key);
  }

  /** Where a participant of this room reads from. */
  source(identity: Identity): ReaderSource {
    return new RoomSource(this.#context, this, this.#ephemerals, identity);
  }

  /** Takes a participant in; an older stream of its client ends. Throws where it is itself the older one. */
  enter(participant: Participant): void {
    const { key, generation } = participant;
    if (generation > 0 && generation < this.pipeline.claimOf(key)) throw new BatonError("SUPERSEDED");
    const older = this.#byClient.get(key);
    if (older !== undefined) this.end(older, new BatonError("SUPERSEDED"));
    this.participants.set(participant.streamId, participant);
    this.#byClient.set(key, participant);
    this.#users.of(participant.identity.userId, this.#context.now()).began(this.sessionId);
    this.#expectEnd(participant);
    if (participant.mayWrite) this.showWriter(participant);
  }

  /** Takes a participant back in that the room forgot while it was out of memory; nobody is told of it. */
  restore(participant: Participant): void {
    const { key, generation, identity } = participant;
    this.participants.set(participant.streamId, participant);
    this.#byClient.set(key, participant);
    this.#users.of(identity.userId, this.#context.now()).began(this.sessionId);
    this.#expectEnd(participant);
    if (generation > 0) this.pipeline.supersede(key, generation);
    participant.reader.goOn();
  }

  /** What a client does under this claim ends what it did under older ones, here and elsewhere. */
  claimed({ userId, clientId, key }: Omit<Identity, "sessionId">, generation: number): void {
    this.pipeline.supersede(key, generation);
    this.#supersede(key, generation);
    this.#context.bus.publish(this.sessionId, { kind: "supersede", client: { userId, clientId }, generation });
  }

  /** The others see a participant that may write. */
  showWriter({ identity, generation }: Participant): void {
    this.claimed(identity, generation);
    this.tell(this.roster.joined(identity.userId, identity.clientId, this.#context.now()));
  }

  /** The token in force for a participant is now this one. */
  renew(participant: Participant, principal: Principal): void {
    participant.renew(principal, this.#context.now());
    this.#expectEnd(participant);
  }

  /** Ends the streams whose tokens are over. Nothing is delivered to one after that, to the millisecond. */
  expire(nowMs: number): void {
    if (nowMs < this.#earliestEndMs) return;
    this.#earliestEndMs = Number.POSITIVE_INFINITY;
    for (const participant of [...this.participants.values()]) {
      if (nowMs >= participant.tokenTimes.endsAtMs) this.end(participant, new BatonError("TOKEN_EXPIRED"));
      else this.#expectEnd(participant);
    }
  }

  #expectEnd({ tokenTimes }: Participant): void {
    this.#earliestEndMs = Math.min(this.#earliestEndMs, tokenTimes.endsAtMs);
  }

  /** Ends a participant's stream. It is still shown for the grace: who comes back within it was never away. */
  end(participant: Participant, error?: BatonError): void {
    if (!this.participants.delete(participant.streamId)) return;
    const nowMs = this.#context.now();
    this.#users.of(participant.identity.userId, nowMs).ended(nowMs, this.sessionId);
    if (this.#byClient.get(participant.key) === participant) {
      this.#byClient.delete(participant.key);
      // A client of the original contract never comes back as the same one: there is nothing to wait for.
      this.roster.away(participant.key, nowMs, participant.dialect === "original" ? 0 : undefined);
    }
    if (this.participants.size === 0) this.#emptySinceMs = nowMs;
    participant.reader.end(error);
    this.#context.meters.streamEnds.add(error?.reason ?? "OK");
    if (error?.reason === "SLOW_CONSUMER") this.#context.meters.stepped("cut");
    logger.info("stream left", {
      streamId: participant.streamId,
      session: this.sessionId,
      reason: error?.reason ?? "OK",
      traceId: participant.trace?.traceId,
    });
  }

  /** Tells everybody but its sender, without the log; the newest of each slot reaches those who are behind. */
  broadcast(sender: Omit<Identity, "sessionId">, slot: string, payload: RelayPayload): void {
    const { userId, clientId, key } = sender;
    const message = create(SessionMessageSchema, {
      sessionId: this.sessionId,
      timestamp: BigInt(this.#context.now()),
      userId,
      clientId,
      payload,
    });
    const frame = encodeFrame(SessionMessageSchema, message, "binary");
    this.#putEphemeral(key, slot, frame);
    this.#context.bus.publish(this.sessionId, { kind: "ephemeral", sender: { userId, clientId }, slot, frame });
  }

  tell(changes: readonly PresenceChange[]): void {
    for (const { userId, clientId, displayName, status } of changes) {
      const value = { status, displayName };
      this.broadcast({ userId, clientId, key: clientKey(userId, clientId) }, "presence", { case: "presence", value });
    }
  }

  /** Ends every stream and refuses what is unanswered; the log holds the truth, and the next room starts from it. */
  fail(error: BatonError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#leaveBus();
    for (const participant of [...this.participants.values()]) this.end(participant, error);
    this.pipeline.end(error);
    this.ring.countSent();
  }

  /** Forgets the ephemerals that everybody has been told of, and the claims that were not heard of for long. */
  prune(nowMs: number): void {
    this.pipeline.forgetClaims(nowMs);
    let oldest = this.ring.end;
    for (const { reader } of this.participants.values()) oldest = Math.min(oldest, reader.oldestEntry);
    this.#ephemerals.forgetBefore(oldest);
  }

  /** Into the ring, then to everybody. */
  #published(records: readonly PublishedRecord[]): void {
    const startMs = performance.now();
    for (const { message, frame } of records) {
      const { userId, clientId, seq, clientSeq, timestamp, payload } = message;
      const sender = clientKey(userId, clientId);
      const version = payload.case === "edit" ? payload.value.version : 0;
      const place = { seq: Number(seq), head: Number(seq), timestampMs: Number(timestamp) };
      const shared = { frame, payload: sharedPayload(payload.case), sender, clientSeq: Number(clientSeq), version };
      const index = this.ring.append({ ...shared, ...place });
      this.#byClient.get(sender)?.reader.noteOwn(index);
    }
    this.#flush();
    this.#context.meters.fanoutSeconds.observe((performance.now() - startMs) / 1000);
    this.#snapshots.appended(records);
    if (this.participants.size === 0) this.#emptySinceMs = this.#context.now();
  }

  #putEphemeral(sender: string, slot: string, frame: Uint8Array): void {
    const place = { seq: 0, head: this.state.head, timestampMs: 0 };
    const payload = sharedPayload(slot);
    const index = this.ring.append({ frame, payload, ...place, sender, clientSeq: 0, version: 0 });
    this.#ephemerals.put(slot, { frame, sender, index });
    this.#byClient.get(sender)?.reader.noteOwn(index);
    this.#flush();
  }

  #flush(): void {
    this.expire(this.#context.now());
    for (const participant of this.participants.values()) participant.reader.pump();
  }

  #supersede(key: string, generation: number): void {
    const present = this.#byClient.get(key);
    if (present !== undefined && present.generation < generation) this.end(present, new BatonError("SUPERSEDED"));
  }

  #heard(message: BusMessage): void {
    switch (message.kind) {
      case "ephemeral": {
        const { userId, clientId } = message.sender;
        this.#putEphemeral(clientKey(userId, clientId), message.slot, message.frame);
        return;
      }
      case "supersede": {
        const key = clientKey(message.client.userId, message.client.clientId);
        this.pipeline.supersede(key, message.generation);
        this.#supersede(key, message.generation);
        return;
      }
      case "epoch-ended":
        if (message.epoch === this.state.epoch) this.fail(new BatonError("EPOCH_CHANGED"));
        return;
      default:
        assertNever(message);
    }
  }
}

/** What a record's payload, or the slot of what is not logged, is counted as. */
function sharedPayload(name: string | undefined): SharedPayload {
  return name === "edit" || name === "comment" || name === "cursor" || name === "presence" ? name : "custom";
}
