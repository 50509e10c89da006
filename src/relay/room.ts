import { create } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { Principal } from "../auth/principal.ts";
import type { BusMessage } from "../durable/session-bus.ts";
import type { ClientKey } from "../durable/session-log.ts";
import { SessionMessageSchema, PresenceUpdate_Status as Status } from "../gen/codereview/v1/codereview_pb.ts";
import { assertNever, BatonError } from "../session/reasons.ts";
import type { PresenceChange, Roster } from "../session/roster.ts";
import { clientKey, type SessionState } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import { readCursor } from "./cursor-frame.ts";
import type { Participant } from "./participant.ts";
import { Participants } from "./participants.ts";
import type { Identity, RelayPayload } from "./payload.ts";
import { Pipeline, type PublishedRecord } from "./pipeline.ts";
import type { Presence } from "./presence.ts";
import type { ReaderSource } from "./reader-source.ts";
import type { Ring } from "./ring.ts";
import { RoomFrames } from "./room-frames.ts";
import { RoomSource } from "./room-source.ts";
import { SnapshotKeeper } from "./snapshot-keeper.ts";
import { StreamsElsewhere } from "./streams-elsewhere.ts";
import type { Users } from "./users.ts";
import { encodeFrame } from "./wire/envelope.ts";

const logger = getLogger(["baton", "room"]);

/** A session as it was opened: what its log says, and what already hears of it. */
export interface Opening {
  readonly state: SessionState;
  /** The first record that the log keeps. */
  readonly first: number;
  /** The record that the newest snapshot is of; 0 = there is none. */
  readonly snapshotSeq: number;
  /** Whether the store has the session. */
  readonly isKept: boolean;
  readonly presence: Presence;
  /** Hears no more of it. */
  readonly leave: () => void;
}

/** What other instances say of a client whose stream may be here. */
export type ClientMessage = Extract<BusMessage, { kind: "heard" | "renewed" }>;

export type HearClient = (room: Room, message: ClientMessage) => void;

/** How often the log is looked at where no doorbell rings; a fifth sooner at most, so that instances do not ask at once. */
const lookMs = 5_000;

/**
 * The live part of one session on one instance: who is in it, and the ring that all of them read. It decides nothing
 * about messages; the session core does, and the pipeline brings what the log took.
 */
export class Room {
  readonly sessionId: string;
  readonly presence: Presence;
  readonly elsewhere: StreamsElsewhere;
  readonly pipeline: Pipeline;
  readonly participants = new Participants();
  readonly #context: RelayContext;
  readonly #users: Users;
  readonly #frames: RoomFrames;
  readonly #snapshots: SnapshotKeeper;
  readonly #leave: () => void;
  readonly #hearClient: HearClient;
  readonly #lookMs = lookMs * (1 - 0.2 * Math.random());
  #ended: BatonError | undefined;
  /** Since when nobody is in it or wrote to it, ms since the Unix epoch. */
  #emptySinceMs: number;

  constructor(
    context: RelayContext,
    users: Users,
    { state, first, isKept, snapshotSeq, presence, leave }: Opening,
    hearClient: HearClient,
  ) {
    this.#context = context;
    this.#users = users;
    this.#hearClient = hearClient;
    this.sessionId = state.sessionId;
    this.presence = presence;
    this.elsewhere = new StreamsElsewhere(context, state.sessionId);
    this.#frames = new RoomFrames(context, (sender, index) =>
      this.participants.ofClient(sender)?.reader.noteOwn(index),
    );
    this.pipeline = new Pipeline(context, state, isKept, {
      published: (records, isOwn) => this.#published(records, isOwn),
      superseded: (key, generation) => this.#supersede(key, generation),
      instanceOf: (key) => this.presence.instanceOf(key),
      contended: ({ client: { userId, clientId }, ...plea }) =>
        context.bus.publish(this.sessionId, { kind: "contended", client: { userId, clientId }, ...plea }),
      tailLost: () => this.loseTail(),
      failed: (error) => this.fail(error),
    });
    this.#snapshots = new SnapshotKeeper(context, state, first, snapshotSeq);
    this.#leave = leave;
    this.#emptySinceMs = context.now();
  }

  /** As the log has it. */
  get state(): SessionState {
    return this.pipeline.state;
  }

  /** What all of them read. */
  get ring(): Ring {
    return this.#frames.ring;
  }

  /** Who is shown, on whichever instance. */
  get roster(): Roster {
    return this.presence.roster;
  }

  /** The first record that the log keeps, as far as it is known here. */
  get first(): number {
    return this.#snapshots.first;
  }

  /** Streams that may write, on all instances, without another one of this client. */
  writerCount(exceptKey: string): number {
    return this.participants.count(({ mayWrite }) => mayWrite) + this.presence.writersElsewhere(exceptKey);
  }

  /** Streams that only read, on all instances. */
  get readerCount(): number {
    return this.participants.count(({ mayWrite }) => !mayWrite) + this.presence.readersElsewhere;
  }

  /** Why the room takes nothing more; whoever needs it opens it anew. */
  get ended(): BatonError | undefined {
    return this.#ended;
  }

  /** For how long it has been of no use to anybody. */
  unusedMs(nowMs: number): number {
    return this.participants.size === 0 && this.pipeline.idle ? nowMs - this.#emptySinceMs : 0;
  }

  /** Where a participant of this room reads from. */
  source(identity: Identity): ReaderSource {
    return new RoomSource(this.#context, this, this.#frames, identity);
  }

  /** Takes a participant in; an older stream of its client ends. Throws where it is itself the older one. */
  enter(participant: Participant): void {
    const { key, generation } = participant;
    if (generation > 0 && generation < this.pipeline.claimOf(key)) throw new BatonError("SUPERSEDED");
    const older = this.participants.ofClient(key);
    if (older !== undefined) this.end(older, new BatonError("SUPERSEDED"));
    this.#hold(participant);
    if (participant.mayWrite) this.showWriter(participant);
  }

  /** Takes a participant back in that the room forgot while it was out of memory; nobody is told of it. */
  restore(participant: Participant): void {
    const { key, generation } = participant;
    this.#hold(participant);
    if (generation > 0) this.pipeline.supersede(key, generation);
    participant.reader.goOn();
  }

  #hold(participant: Participant): void {
    this.participants.add(participant);
    this.#users.of(participant.identity.userId, this.#context.now()).began(this.sessionId);
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
    this.tell(this.roster.joined(identity.userId, identity.clientId, generation, this.#context.now()));
  }

  /** The token in force for a participant is now this one. */
  renew(participant: Participant, principal: Principal): void {
    participant.renew(principal, this.#context.now());
    this.participants.expectEnd(participant);
  }

  /** Ends the streams whose tokens are over. Nothing is delivered to one after that, to the millisecond. */
  expire(nowMs: number): void {
    for (const participant of this.participants.over(nowMs)) this.end(participant, new BatonError("TOKEN_EXPIRED"));
  }

  /** Ends a participant's stream. It is still shown for the grace: who comes back within it was never away. */
  end(participant: Participant, error?: BatonError): void {
    const removed = this.participants.remove(participant);
    if (removed === "absent") return;
    const nowMs = this.#context.now();
    this.#users.of(participant.identity.userId, nowMs).ended(nowMs, this.sessionId);
    // A client of the original contract never comes back as the same one: there is nothing to wait for.
    const graceMs = participant.dialect === "original" ? 0 : undefined;
    if (removed === "newest") this.roster.away(participant.key, nowMs, graceMs);
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
    const frame = this.#encode(sender, payload);
    this.#putEphemeral(key, slot, frame);
    this.#context.bus.publish(this.sessionId, { kind: "ephemeral", sender: { userId, clientId }, slot, frame });
  }

  /** Tells what changed: everybody here, and of those whose streams are here, the other instances. */
  tell(changes: readonly PresenceChange[]): void {
    for (const { userId, clientId, displayName, status } of changes) {
      const sender = { userId, clientId, key: clientKey(userId, clientId) };
      this.#putEphemeral(
        sender.key,
        "presence",
        this.#encode(sender, { case: "presence", value: { status, displayName } }),
      );
    }
    this.presence.tell(changes);
  }

  /** What a client whose stream is here says of itself; `generation`: its claim, 0 = it is not shown. */
  says(
    { userId, clientId, key }: Omit<Identity, "sessionId">,
    generation: number,
    { status, displayName }: { readonly status: number; readonly displayName: string },
    nowMs: number,
  ): void {
    if (status === Status.LEFT) {
      this.tell(this.roster.left(key));
      return;
    }
    // Whoever said that it leaves, and then goes on, is there again.
    if (generation > 0 && this.roster.get(key) === undefined) {
      this.tell(this.roster.joined(userId, clientId, generation, nowMs));
    }
    this.tell(this.roster.says(key, status === Status.IDLE ? Status.IDLE : Status.ACTIVE, displayName, nowMs));
  }

  /** Looks whether the log has gone on, if nothing has told for long. */
  look(nowMs: number): void {
    if (this.participants.size === 0) return;
    const sinceMs = nowMs - this.pipeline.lookedAtMs;
    if (sinceMs >= this.#lookMs || sinceMs < 0) this.pipeline.rang();
  }

  /** The log begins here now. */
  learnFirst(first: number): void {
    this.#snapshots.learnFirst(first);
  }

  /** The store has lost records that were told: another epoch begins, in which no seq means what it meant. */
  async loseTail(): Promise<void> {
    const { log, newId, meters, bus } = this.#context;
    const { epoch, head } = this.state;
    logger.error("the store has lost records of a session; a new epoch begins", { session: this.sessionId, head });
    const next = newId();
    // Of several that find it, one is the first.
    if ((await log.renewEpoch(this.sessionId, epoch, next)) === next) meters.tailsLost += 1;
    bus.publish(this.sessionId, { kind: "epoch-ended", epoch });
    this.fail(new BatonError("EPOCH_CHANGED"));
  }

  /** Ends every stream and refuses what is unanswered; the log holds the truth, and the next room starts from it. */
  fail(error: BatonError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#leave();
    for (const participant of [...this.participants.values()]) this.end(participant, error);
    this.pipeline.end(error);
    this.ring.countSent();
  }

  /** Forgets the ephemerals that everybody has been told of, and the claims that were not heard of for long. */
  prune(nowMs: number): void {
    this.pipeline.forgetClaims(nowMs);
    let oldest = this.ring.end;
    for (const { reader } of this.participants.values()) oldest = Math.min(oldest, reader.oldestEntry);
    this.#frames.forgetBefore(oldest);
    this.elsewhere.forget(nowMs);
  }

  #encode({ userId, clientId }: Omit<Identity, "sessionId">, payload: RelayPayload): Uint8Array {
    const timestamp = BigInt(this.#context.now());
    const message = create(SessionMessageSchema, { sessionId: this.sessionId, timestamp, userId, clientId, payload });
    return encodeFrame(SessionMessageSchema, message, "binary");
  }

  /** Into the ring, then to everybody. */
  #published(records: readonly PublishedRecord[], isOwn: boolean): void {
    const startMs = performance.now();
    this.#frames.append(records);
    this.#flush();
    this.#context.meters.fanoutSeconds.observe((performance.now() - startMs) / 1000);
    this.#snapshots.appended(records, isOwn);
    if (this.participants.size === 0) this.#emptySinceMs = this.#context.now();
  }

  #putEphemeral(sender: string, slot: string, frame: Uint8Array): void {
    this.#frames.putEphemeral(sender, slot, frame, this.state.head);
    this.#flush();
  }

  #flush(): void {
    this.expire(this.#context.now());
    for (const participant of this.participants.values()) participant.reader.pump();
  }

  #supersede(key: string, generation: number): void {
    const present = this.participants.ofClient(key);
    if (present !== undefined && present.generation < generation) this.end(present, new BatonError("SUPERSEDED"));
  }

  #claimedElsewhere({ userId, clientId }: ClientKey, generation: number): void {
    const key = clientKey(userId, clientId);
    this.pipeline.supersede(key, generation);
    this.#supersede(key, generation);
    this.roster.wentElsewhere(key, generation, this.#context.now());
  }

  /** Another instance says something. */
  hear(message: BusMessage): void {
    switch (message.kind) {
      case "ephemeral": {
        const key = clientKey(message.sender.userId, message.sender.clientId);
        const cursor = message.slot === "cursor" ? readCursor(message.frame) : undefined;
        if (cursor !== undefined) this.roster.moved(key, cursor);
        this.#putEphemeral(key, message.slot, message.frame);
        return;
      }
      case "supersede":
        this.#claimedElsewhere(message.client, message.generation);
        return;
      case "roster":
        for (const { client, generation } of [...message.members, ...message.left]) {
          this.#claimedElsewhere(client, generation);
        }
        this.tell(this.presence.hear(message, (key) => this.pipeline.claimOf(key)));
        return;
      case "roster-wanted":
        this.presence.announce();
        return;
      case "heard":
      case "renewed":
        this.#hearClient(this, message);
        return;
      case "contended":
        this.pipeline.asked(message);
        return;
      case "snapshot":
        if (message.epoch === this.state.epoch) this.#snapshots.heard(message.seq, message.first);
        return;
      case "epoch-ended":
        if (message.epoch === this.state.epoch) this.fail(new BatonError("EPOCH_CHANGED"));
        return;
      default:
        assertNever(message);
    }
  }
}
