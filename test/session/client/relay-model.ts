import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Fault, Join, SessionMessage, Snapshot } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import {
  FaultSchema,
  LimitsSchema,
  Welcome_Outcome as Outcome,
  SessionMessageSchema,
  SnapshotSchema,
  WelcomeSchema,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { hashPayload, type LoggedPayload } from "../../../src/session/admit.ts";
import { applyRecord } from "../../../src/session/apply.ts";
import { defaultLimits, type Limits } from "../../../src/session/limits.ts";
import { type Reason, reasons } from "../../../src/session/reasons.ts";
import { type Refusal, refuse } from "../../../src/session/refusal.ts";
import { planJoin } from "../../../src/session/resume.ts";
import { type Answer, type Batch, Sequencer } from "../../../src/session/sequencer.ts";
import { snapshotParts } from "../../../src/session/snapshot-parts.ts";
import { clientKey, emptyState, lastClientSeq, type SessionState } from "../../../src/session/state.ts";

export interface LogEntry {
  readonly message: SessionMessage;
  readonly payloadHash: number;
}

/** A stream as the relay sees it: what has come up, what goes down. Both are in order, and may be cut anywhere. */
export interface ModelStream {
  readonly userId: string;
  clientId: string;
  generation: number;
  joined: boolean;
  /** The next seq that it is sent; its own numbers from `ackFrom` on as Acks. */
  nextSeq: number;
  ackFrom: number;
  readonly up: Uint8Array[];
  readonly down: Uint8Array[];
  /** Faults that the relay ends the stream with. */
  ended: Reason | undefined;
  /** The client no longer listens. */
  gone: boolean;
  /** Refusals and repeats that were told. */
  answers: number;
}

export type Random = (below: number) => number;

/** The smallest relay around the real core: an in-memory log, joins, fan-out, and mishaps on demand. */
export class RelayModel {
  readonly log: LogEntry[] = [];
  first = 1;
  epoch = 1;
  nowMs = 1_000;
  readonly streams = new Set<ModelStream>();
  readonly counts = {
    superseded: 0,
    resumed: 0,
    resynced: 0,
    mapped: 0,
    refused: 0,
    outOfOrder: 0,
    repeated: 0,
    conflicts: 0,
    retries: 0,
  };
  /** One in so many messages comes twice; 0 = none. */
  duplicateOneIn = 0;
  /** Why a submission is refused although it fits: decided anew for each. */
  mishap: (payload: LoggedPayload) => Refusal | undefined = () => undefined;
  #sequencer: Sequencer<ModelStream>;
  #batch: Batch<ModelStream> | undefined;
  readonly #generations = new Map<string, number>();
  readonly #limits: Limits;
  readonly #random: Random;

  constructor(random: Random, limits: Partial<Limits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
    this.#random = random;
    this.#sequencer = new Sequencer(emptyState("s", "e1"), this.#limits);
  }

  get state(): SessionState {
    return this.#sequencer.state;
  }

  open(userId: string): ModelStream {
    const stream: ModelStream = {
      userId,
      clientId: "",
      generation: 0,
      joined: false,
      nextSeq: 0,
      ackFrom: 0,
      up: [],
      down: [],
      ended: undefined,
      gone: false,
      answers: 0,
    };
    this.streams.add(stream);
    this.#tell(stream, { case: "heartbeat", value: { sentAt: 5n } });
    return stream;
  }

  /** Takes one message off a stream; false = there was none. */
  takeUp(stream: ModelStream): boolean {
    const bytes = stream.up.shift();
    if (bytes === undefined) return false;
    const message = fromBinary(SessionMessageSchema, bytes);
    const { payload } = message;
    const isLogged = payload.case === "edit" || payload.case === "comment" || payload.case === "custom";
    if (isLogged && this.duplicateOneIn > 0 && this.#random(this.duplicateOneIn) === 0) stream.up.unshift(bytes);
    if (stream.ended !== undefined) return true;
    if (payload.case === "join") this.#join(stream, payload.value);
    else if (payload.case === "edit" || payload.case === "comment" || payload.case === "custom") {
      const refusal = this.mishap(payload);
      if (refusal !== undefined && reasons[refusal.reason].action === reasons.RATE_LIMITED.action) {
        this.counts.retries += 1;
        this.#fault(stream, refusal, Number(message.clientSeq));
      } else this.#submit(stream, message, payload, refusal);
    }
    return true;
  }

  #submit(stream: ModelStream, message: SessionMessage, payload: LoggedPayload, refusal: Refusal | undefined): void {
    const { userId, clientId, generation } = stream;
    this.#sequencer.submit({
      origin: stream,
      bytes: 100,
      submission: {
        userId,
        clientId,
        generation,
        clientSeq: Number(message.clientSeq),
        payload,
        payloadHash: hashPayload(payload),
        isAdmin: false,
        refusal,
      },
    });
  }

  /** One step of the log: a batch goes on its way, or the one that is comes in, loses its place, or is taken anew. */
  drive(): boolean {
    this.nowMs += 1;
    if (this.#batch === undefined) {
      const { batch, answers } = this.#sequencer.next(this.nowMs);
      this.#batch = batch;
      this.#answer(answers);
      return batch !== undefined || answers.length > 0;
    }
    if (this.#random(12) === 0) {
      this.counts.conflicts += 1;
      this.#batch = undefined;
      this.#answer(this.#sequencer.conflicted());
      return true;
    }
    this.#batch = undefined;
    const { records, answers: told } = this.#sequencer.appended();
    const answers = [...told];
    for (const { message, logged } of records) {
      const { payload } = message;
      if (payload.case === "edit" && logged.version > 1) this.counts.mapped += 1;
      this.log.push({ message, payloadHash: logged.payloadHash });
    }
    // Answers go before or behind what is in the stream's order.
    if (this.#random(2) === 0) this.#answer(answers.splice(0));
    this.#fanOut();
    this.#answer(answers);
    return true;
  }

  /** Forgets the log before a seq. */
  trim(first: number): void {
    this.first = Math.max(this.first, Math.min(first, this.state.head + 1));
  }

  /** The store loses its tail: what is left begins a new epoch. */
  loseTail(records: number): readonly LogEntry[] {
    const keep = Math.max(this.first - 1, this.state.head - records);
    const lost = this.log.splice(keep);
    this.epoch += 1;
    const state = fold(this.log, `e${this.epoch}`);
    this.#batch = undefined;
    this.#sequencer = new Sequencer(state, this.#limits);
    for (const stream of this.streams) this.end(stream, "EPOCH_CHANGED");
    return lost;
  }

  /** The error that ends a stream, as a client gets it. */
  faultOf(reason: Reason): Fault {
    const { code, action } = reasons[reason];
    return create(FaultSchema, { code, reason, action });
  }

  end(stream: ModelStream, reason: Reason): void {
    if (stream.ended === undefined) stream.ended = reason;
  }

  /** A reader fell behind: it gets a snapshot on the same stream. */
  resyncReader(stream: ModelStream): void {
    if (!stream.joined || stream.ended !== undefined || stream.nextSeq > this.state.head) return;
    this.counts.resynced += 1;
    const last = lastClientSeq(this.state, clientKey(stream.userId, stream.clientId));
    this.#welcome(stream, Outcome.RESYNCED, last);
    this.#sendSnapshot(stream, this.state);
  }

  /** Sends each stream what it has not got. */
  #fanOut(): void {
    for (const stream of this.streams) {
      // One that is behind reads on later, so that a reader can be resynced.
      if (stream.joined && this.#random(4) > 0) this.#pump(stream);
    }
  }

  pumpAll(): boolean {
    let moved = false;
    for (const stream of this.streams) if (stream.joined) moved = this.#pump(stream) || moved;
    return moved;
  }

  #pump(stream: ModelStream): boolean {
    let moved = false;
    while (stream.nextSeq <= this.state.head && stream.ended === undefined) {
      const entry = this.log[stream.nextSeq - 1];
      if (entry === undefined) throw new Error("the log has a hole");
      const { message } = entry;
      const own = message.clientId === stream.clientId && message.userId === stream.userId;
      if (own && Number(message.clientSeq) >= stream.ackFrom) this.#tell(stream, ackOf(message), message.timestamp);
      else stream.down.push(toBinary(SessionMessageSchema, message));
      stream.nextSeq += 1;
      moved = true;
    }
    return moved;
  }

  #join(stream: ModelStream, join: Join): void {
    const resume = join.resumeToken === "" ? undefined : parseToken(join.resumeToken);
    stream.clientId = join.clientId;
    const key = clientKey(stream.userId, stream.clientId);
    stream.generation = this.#claim(key);
    for (const other of this.streams) {
      if (other !== stream && other.joined && other.clientId === stream.clientId && other.userId === stream.userId) {
        this.end(other, "SUPERSEDED");
      }
    }
    const plan = planJoin(this.state, this.first, {
      history: join.history,
      lastSeq: Number(join.lastSeq),
      resume,
    });
    if (plan.kind === "tail-lost") {
      this.loseTail(0);
      return;
    }
    const stored =
      plan.storedSnapshotSeq === 0 ? undefined : fold(this.log.slice(0, plan.storedSnapshotSeq), this.state.epoch);
    const last = lastClientSeq(stored ?? this.state, key);
    const pendingFrom = Number(join.pendingFrom);
    stream.ackFrom = Math.min(last + 1, pendingFrom === 0 ? last + 1 : pendingFrom);
    stream.joined = true;
    stream.nextSeq = plan.fromSeq;
    if (plan.outcome === Outcome.RESUMED) this.counts.resumed += 1;
    if (plan.snapshot && this.log.length > 0) this.counts.resynced += 1;
    this.#welcome(stream, plan.outcome, last);
    if (plan.snapshot || stored !== undefined) this.#sendSnapshot(stream, stored ?? this.state);
    this.#pump(stream);
  }

  /** The client's next generation: of what was written under an older one, what is not in the log now never will be. */
  #claim(key: string): number {
    const generation = (this.#generations.get(key) ?? 0) + 1;
    this.#generations.set(key, generation);
    this.#sequencer.supersede(key, generation);
    if (this.#batch !== undefined && this.#random(2) === 0) this.drive();
    else if (this.#batch !== undefined) {
      this.#batch = undefined;
      this.#sequencer.superseded();
    }
    return generation;
  }

  /** Another stream takes over the client's id. */
  supersede(stream: ModelStream): void {
    if (!stream.joined || stream.ended !== undefined) return;
    this.counts.superseded += 1;
    this.#claim(clientKey(stream.userId, stream.clientId));
    this.end(stream, "SUPERSEDED");
  }

  #welcome(stream: ModelStream, outcome: Outcome, last: number): void {
    const { epoch, head } = this.state;
    const welcome = create(WelcomeSchema, {
      epoch,
      headSeq: BigInt(head),
      resumeToken: JSON.stringify({ epoch, head }),
      lastClientSeq: BigInt(last),
      outcome,
      clientId: stream.clientId,
      scopes: ["session:edit"],
      limits: create(LimitsSchema, { maxUnackedBytes: 4_000 }),
    });
    this.#tell(stream, { case: "welcome", value: welcome });
  }

  #sendSnapshot(stream: ModelStream, state: SessionState): void {
    for (const part of snapshotParts(state)) {
      for (const piece of cutPart(part)) this.#tell(stream, { case: "snapshot", value: piece });
    }
    stream.nextSeq = state.head + 1;
  }

  #answer(answers: readonly Answer<ModelStream>[]): void {
    for (const { origin, clientSeq, result } of answers) {
      origin.answers += 1;
      if (result.kind === "repeated") {
        this.counts.repeated += 1;
        const { seq, version } = result.logged;
        const ack = { clientSeq: BigInt(clientSeq), seq: BigInt(seq), version };
        this.#tell(origin, { case: "ack", value: ack }, this.log[seq - 1]?.message.timestamp);
      } else {
        if (result.reason === "OUT_OF_ORDER") this.counts.outOfOrder += 1;
        else this.counts.refused += 1;
        this.#fault(origin, result, clientSeq);
      }
    }
  }

  #fault(stream: ModelStream, { reason, message, retryAfterMs }: Refusal, clientSeq: number): void {
    const { code, action } = reasons[reason];
    const value = create(FaultSchema, {
      code,
      reason,
      message,
      action,
      clientSeq: BigInt(clientSeq),
      retryAfterMs: BigInt(retryAfterMs),
    });
    this.#tell(stream, { case: "fault", value });
  }

  #tell(
    stream: ModelStream,
    payload: NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>,
    timestamp = BigInt(this.nowMs),
  ): void {
    const { userId, clientId } = stream;
    const message = create(SessionMessageSchema, { sessionId: "s", userId, clientId, timestamp, payload });
    stream.down.push(toBinary(SessionMessageSchema, message));
  }
}

function ackOf({
  clientSeq,
  seq,
  payload,
}: SessionMessage): NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]> {
  return { case: "ack", value: { clientSeq, seq, version: payload.case === "edit" ? payload.value.version : 0 } };
}

function parseToken(token: string): { epoch: string; head: number } {
  const parsed: unknown = JSON.parse(token);
  if (typeof parsed !== "object" || parsed === null || !("epoch" in parsed) || !("head" in parsed)) throw new Error();
  return { epoch: String(parsed.epoch), head: Number(parsed.head) };
}

/** A part as three: the contract lets a snapshot come in any number. */
function cutPart(part: Snapshot): Snapshot[] {
  const { seq, epoch } = part;
  const half = part.files.length >> 1;
  return [
    create(SnapshotSchema, { seq, epoch, files: part.files.slice(0, half), more: true }),
    create(SnapshotSchema, { seq, epoch, files: part.files.slice(half), more: true }),
    create(SnapshotSchema, { seq, epoch, comments: part.comments, more: part.more }),
  ];
}

/** The records folded anew, as whoever reads the log does. */
export function fold(log: readonly LogEntry[], epoch: string): SessionState {
  const state = emptyState("s", epoch);
  for (const { message, payloadHash } of log) applyRecord(state, message, payloadHash, defaultLimits.fileHistory);
  return state;
}

/** Refuses one in `oneIn` messages for good, and one in as many for now. */
export function randomMishaps(random: Random, oneIn: number): (payload: LoggedPayload) => Refusal | undefined {
  return () => {
    if (random(oneIn) === 0) return refuse("SCOPE_MISSING");
    return random(oneIn) === 0 ? refuse("RATE_LIMITED", "rate", random(2) * 10) : undefined;
  };
}
