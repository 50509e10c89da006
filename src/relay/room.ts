import { create } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { BusMessage } from "../durable/session-bus.ts";
import type { AppendBatch, LogRecord } from "../durable/session-log.ts";
import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { Submission } from "../session/admit.ts";
import { applyRecord } from "../session/apply.ts";
import { assertNever, BatonError } from "../session/reasons.ts";
import { refuse } from "../session/refusal.ts";
import { type PresenceChange, Roster } from "../session/roster.ts";
import { type Answer, type Batch, Sequencer } from "../session/sequencer.ts";
import { clientKey, type SessionState } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import { Ephemerals } from "./ephemerals.ts";
import { decodeRecord } from "./load.ts";
import type { Origin, Participant } from "./participant.ts";
import { createControlEncoder, type Identity, type RelayPayload } from "./payload.ts";
import type { ReaderSource } from "./reader.ts";
import { Ring } from "./ring.ts";
import { SnapshotKeeper } from "./snapshot-keeper.ts";
import { encodeFrame } from "./wire/envelope.ts";

const logger = getLogger(["baton", "room"]);

/**
 * The live part of one session on one instance: it runs batches into the log, puts what the log took into the ring, and
 * lets every participant read on. It decides nothing about messages; the session core does.
 */
export class Room {
  readonly sessionId: string;
  readonly roster: Roster;
  readonly ring: Ring;
  readonly participants = new Map<string, Participant>();
  /** The stream of each client: the newest; an older one has been superseded. */
  readonly #byClient = new Map<string, Participant>();
  readonly #context: RelayContext;
  readonly #sequencer: Sequencer<Origin>;
  readonly #ephemerals = new Ephemerals();
  readonly #snapshots: SnapshotKeeper;
  readonly #leaveBus: () => void;
  #driving = false;
  #deferred = false;
  #ended: BatonError | undefined;
  #idleWaiters: (() => void)[] = [];
  /** Since when nobody is in it. */
  emptySinceMs: number;

  constructor(context: RelayContext, state: SessionState, first: number) {
    this.#context = context;
    this.sessionId = state.sessionId;
    this.roster = new Roster(context.limits);
    this.ring = new Ring(context.limits.ringBytes);
    this.#sequencer = new Sequencer(state, context.limits);
    this.#snapshots = new SnapshotKeeper(context, state, first);
    this.#leaveBus = context.bus.subscribe(state.sessionId, (message) => this.#heard(message));
    this.emptySinceMs = context.now();
  }

  /** As the log has it. */
  get state(): SessionState {
    return this.#sequencer.state;
  }

  /** The first record that the log keeps. */
  get first(): number {
    return this.#snapshots.first;
  }

  /** Why the room takes nothing more; whoever needs it opens it anew. */
  get ended(): BatonError | undefined {
    return this.#ended;
  }

  get idle(): boolean {
    return this.#sequencer.idle && !this.#driving;
  }

  /** Where this room's participants read from. */
  source(identity: Identity): ReaderSource {
    const room = this;
    const encode = createControlEncoder(identity);
    return {
      ring: this.ring,
      get head() {
        return room.state.head;
      },
      readLog: (from, maxBytes) => this.#context.log.read(this.sessionId, from, this.state.head, maxBytes),
      conflated: (from, to) => this.#ephemerals.between(from, to, identity.key),
      encode: (payload, form) => encode(payload, this.#context.now(), form),
    };
  }

  get readerCount(): number {
    let count = 0;
    for (const participant of this.participants.values()) if (!participant.mayWrite) count += 1;
    return count;
  }

  streamsOf(userId: string): number {
    let count = 0;
    for (const { identity } of this.participants.values()) if (identity.userId === userId) count += 1;
    return count;
  }

  participantOf(key: string): Participant | undefined {
    return this.#byClient.get(key);
  }

  /** Takes a participant in; an older stream of its client ends. */
  enter(participant: Participant): void {
    const { key } = participant;
    this.supersede(key, participant.generation);
    this.participants.set(participant.streamId, participant);
    this.#byClient.set(key, participant);
    if (participant.mayWrite) this.showWriter(participant);
  }

  /** Others are told of a participant that may write. */
  showWriter({ identity: { userId, clientId, key }, generation }: Participant): void {
    this.#sequencer.supersede(key, generation);
    this.#context.bus.publish(this.sessionId, { kind: "supersede", client: { userId, clientId }, generation });
    this.tell(this.roster.joined(userId, clientId, this.#context.now()));
  }

  /** Ends the client's present stream, if it has one here of an older claim. */
  supersede(key: string, generation: number): void {
    const present = this.#byClient.get(key);
    if (generation > 0) this.#sequencer.supersede(key, generation);
    if (present !== undefined && (present.generation < generation || generation === 0)) {
      this.end(present, new BatonError("SUPERSEDED"));
    }
  }

  /** Ends a participant's stream. It is still shown for the grace, unless it was superseded. */
  end(participant: Participant, error?: BatonError): void {
    if (!this.participants.delete(participant.streamId)) return;
    const nowMs = this.#context.now();
    if (this.#byClient.get(participant.key) === participant) {
      this.#byClient.delete(participant.key);
      this.roster.away(participant.key, nowMs);
    }
    if (this.participants.size === 0) this.emptySinceMs = nowMs;
    participant.reader.end(error);
    logger.info("stream left", {
      streamId: participant.streamId,
      session: this.sessionId,
      reason: error?.reason ?? "OK",
    });
  }

  /** Hands a message in. Its origin is told what became of it, exactly once. */
  submit(origin: Origin, submission: Submission, bytes: number): void {
    if (this.#ended !== undefined) {
      origin.answered(submission.clientSeq, refuse(this.#ended.reason));
      return;
    }
    this.#sequencer.submit({ origin, submission, bytes });
    this.wake();
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
    this.#flush();
  }

  tell(changes: readonly PresenceChange[]): void {
    for (const { userId, clientId, displayName, status } of changes) {
      const value = { status, displayName };
      this.broadcast({ userId, clientId, key: clientKey(userId, clientId) }, "presence", { case: "presence", value });
    }
  }

  /** Something gathered, or may have: the next batch goes when this turn of the event loop is over. */
  wake(): void {
    if (this.#driving || this.#deferred) return;
    this.#deferred = true;
    this.#context.defer(() => {
      this.#deferred = false;
      if (!this.#driving) void this.#drive();
    });
  }

  /** Resolves when nothing that was submitted is unanswered. */
  async settled(): Promise<void> {
    if (this.idle) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Reads what others put into the log up to `head`, where it is not here yet. */
  async catchUp(head: number): Promise<void> {
    while (this.#ended === undefined && this.state.head < head) {
      await this.settled();
      const records = await this.#context.log.read(this.sessionId, this.state.head + 1, head, catchUpBytes);
      if (records.length === 0) throw new BatonError("LOG_UNAVAILABLE");
      // A batch of this room may have gone in while it was read.
      if (this.idle && records[0]?.seq === this.state.head + 1) this.#follow(records);
    }
  }

  /** Ends every stream and refuses what is unanswered; the log holds the truth, and the next room starts from it. */
  fail(error: BatonError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#leaveBus();
    for (const participant of [...this.participants.values()]) this.end(participant, error);
    this.#answer(this.#sequencer.abandon(refuse(error.reason, error.message)));
    this.#release();
  }

  /** Forgets the ephemerals that nobody can be behind of. */
  prune(): void {
    this.#ephemerals.forgetBefore(this.ring.first);
  }

  /** Batches into the log, one after the other, until nothing has gathered. Never rejects. */
  async #drive(): Promise<void> {
    this.#driving = true;
    try {
      while (this.#ended === undefined) {
        const { batch, answers } = this.#sequencer.next(this.#context.now());
        this.#answer(answers);
        if (batch === undefined) break;
        await this.#append(batch);
      }
    } catch (error) {
      this.fail(error instanceof BatonError ? error : this.#foreign(error));
    } finally {
      this.#driving = false;
      this.#release();
    }
  }

  async #append(batch: Batch<Origin>): Promise<void> {
    const encoded = encodeBatch(batch);
    try {
      const outcome = await this.#context.log.append(this.sessionId, encoded);
      if (this.#ended !== undefined) return;
      switch (outcome.kind) {
        case "appended":
          return this.#publish(encoded.records);
        case "conflict":
          this.#answer(this.#sequencer.conflicted());
          return this.#follow(outcome.records);
        case "superseded":
          for (const { userId, clientId } of outcome.clients) {
            const key = clientKey(userId, clientId);
            this.supersede(key, (batch.writers.get(key)?.generation ?? 0) + 1);
          }
          return this.#sequencer.superseded();
        case "epoch":
          return this.fail(new BatonError("EPOCH_CHANGED"));
        default:
          return assertNever(outcome);
      }
    } catch (error) {
      if (!(error instanceof BatonError) || error.reason !== "LOG_FULL") throw error;
      this.#answer(this.#sequencer.refused(refuse("LOG_FULL", error.message, storageRetryMs)));
    }
  }

  /** The log took the batch: into the ring, then to everybody, then the answers that stand on it. */
  #publish(frames: readonly LogRecord[]): void {
    const { records, answers } = this.#sequencer.appended();
    for (const [index, { message, origin, logged }] of records.entries()) {
      const record = frames[index];
      if (record === undefined) throw new Error("a batch and its frames differ");
      this.#putRecord(message, record.frame);
      origin.logged(logged);
    }
    this.#flush();
    this.#answer(answers);
    this.#snapshots.appended(frames);
  }

  /** Records that others put into the log. */
  #follow(records: readonly LogRecord[]): void {
    for (const record of records) {
      const message = decodeRecord(record);
      applyRecord(this.state, message, record.payloadHash, this.#context.limits.fileHistory);
      this.#putRecord(message, record.frame);
    }
    this.#flush();
    this.#snapshots.appended(records);
  }

  #putRecord({ userId, clientId, seq, clientSeq, payload }: SessionMessage, frame: Uint8Array): void {
    const key = clientKey(userId, clientId);
    const index = this.ring.append({
      frame,
      seq: Number(seq),
      head: Number(seq),
      sender: key,
      clientSeq: Number(clientSeq),
      version: payload.case === "edit" ? payload.value.version : 0,
    });
    this.#byClient.get(key)?.reader.noteOwn(index);
  }

  #putEphemeral(key: string, slot: string, frame: Uint8Array): void {
    const { head } = this.state;
    const index = this.ring.append({ frame, seq: 0, head, sender: key, clientSeq: 0, version: 0 });
    this.#ephemerals.put(slot, { frame, sender: key, index });
    this.#byClient.get(key)?.reader.noteOwn(index);
  }

  #flush(): void {
    for (const participant of this.participants.values()) participant.reader.pump();
  }

  #answer(answers: readonly Answer<Origin>[]): void {
    for (const { origin, clientSeq, result } of answers) origin.answered(clientSeq, result);
  }

  #heard(message: BusMessage): void {
    switch (message.kind) {
      case "ephemeral": {
        const { userId, clientId } = message.sender;
        this.#putEphemeral(clientKey(userId, clientId), message.slot, message.frame);
        this.#flush();
        return;
      }
      case "supersede":
        this.supersede(clientKey(message.client.userId, message.client.clientId), message.generation);
        return;
      case "disconnect":
        for (const participant of [...this.participants.values()]) {
          const { userId, clientId } = participant.identity;
          const meant = userId === message.userId && (message.clientId === "" || clientId === message.clientId);
          if (meant) this.end(participant, new BatonError("DISCONNECTED"));
        }
        return;
      case "token":
        return;
      default:
        assertNever(message);
    }
  }

  #release(): void {
    if (!this.idle) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  #foreign(error: unknown): BatonError {
    logger.error("a room failed", { session: this.sessionId, error: error instanceof Error ? error.name : "unknown" });
    return new BatonError("INTERNAL", undefined, { cause: error });
  }
}

const catchUpBytes = 1024 * 1024;

/** When a sender may try again that was told the storage is full. */
const storageRetryMs = 5_000;

function encodeBatch({ epoch, expectedHead, records, writers }: Batch<Origin>): AppendBatch {
  const lastOf = new Map(
    records.map(({ message }) => [clientKey(message.userId, message.clientId), message.clientSeq]),
  );
  return {
    epoch,
    expectedHead,
    records: records.map(({ message, logged }) => ({
      seq: logged.seq,
      frame: encodeFrame(SessionMessageSchema, message, "binary"),
      payloadHash: logged.payloadHash,
    })),
    writers: [...writers].map(([key, { userId, clientId, generation }]) => ({
      userId,
      clientId,
      generation,
      lastClientSeq: Number(lastOf.get(key) ?? 0n),
    })),
  };
}
