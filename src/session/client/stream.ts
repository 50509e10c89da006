import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type {
  Ack,
  Fault,
  Heartbeat,
  Limits,
  SessionMessage,
  Snapshot,
  Welcome,
} from "../../gen/codereview/v1/codereview_pb.ts";
import {
  Join_History as History,
  Welcome_Outcome as Outcome,
  SessionMessageSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../reasons.ts";
import { type AssembledSnapshot, SnapshotAssembly } from "../snapshot-parts.ts";
import type { ClientDocument, Problem } from "./document.ts";
import type { EffectList } from "./effects.ts";
import { answerFault } from "./fault-answer.ts";
import { LogFollower } from "./log-follower.ts";
import type { LogPosition } from "./log-position.ts";
import { RosterView } from "./roster-view.ts";
import { judgeEnd, type StreamEnd } from "./stream-end.ts";

/** Where the stream is. */
export type Phase =
  | { readonly kind: "offline" }
  /** Joined, and no Welcome yet. */
  | { readonly kind: "joining" }
  /** Nothing is sent before what the Welcome promised is here: a snapshot, records up to its head, or either. */
  | { readonly kind: "catching-up"; readonly welcome: Welcome; readonly awaits: "snapshot" | "records" | "either" }
  | { readonly kind: "live" }
  | { readonly kind: "stopped"; readonly fault: Fault | undefined };

/** Who joins, and for what. */
export interface StreamOptions {
  readonly sessionId: string;
  /** Of this device or tab: `[A-Za-z0-9_-]{1,64}`. */
  readonly clientId: string;
  /** For the relay's logs: "acme-ios/3.2". */
  readonly clientName?: string;
  /** Of the first join; unspecified, the relay chooses. */
  readonly history?: History;
}

/** Without a word of the relay's a refused message is sent again after the first time, which doubles up to the second. */
const minRetryMs = 50;
const maxRetryMs = 5_000;

/** What comes down a client's streams, one after the other, put to its document; and when to take which next. */
export class ClientStream {
  readonly roster = new RosterView();
  readonly #follower: LogFollower;
  readonly #document: ClientDocument;
  readonly #effects: EffectList;
  readonly #options: StreamOptions;
  #phase: Phase = { kind: "offline" };
  #scopes: readonly string[] = [];
  #limits: Limits | undefined;
  #assembly: SnapshotAssembly | undefined;
  /** Refusals for now, in a row. */
  #retries = 0;
  /** Of the GoAway that announced the stream's end. */
  #goAwayMs = 0;

  constructor(options: StreamOptions, document: ClientDocument, effects: EffectList) {
    this.#options = options;
    this.#follower = new LogFollower(options.clientId, document);
    this.#document = document;
    this.#effects = effects;
  }

  get clientId(): string {
    return this.#follower.clientId;
  }

  get userId(): string {
    return this.#follower.userId;
  }

  get position(): LogPosition {
    return this.#follower.position;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get scopes(): readonly string[] {
    return this.#scopes;
  }

  get limits(): Limits | undefined {
    return this.#limits;
  }

  join(): SessionMessage {
    const { clientName = "", history = History.HISTORY_UNSPECIFIED } = this.#options;
    this.#phase = { kind: "joining" };
    this.#assembly = undefined;
    this.#goAwayMs = 0;
    const value = this.position.encodeJoin(
      this.#follower.clientId,
      clientName,
      history,
      this.#document.outbox.pendingFrom,
    );
    return this.#message({ case: "join", value });
  }

  receive(message: SessionMessage, nowMs: number, receivedBytes: number): void {
    const { payload } = message;
    if (this.#phase.kind === "offline" || this.#phase.kind === "stopped") return;
    switch (payload.case) {
      case "edit":
      case "comment":
        this.#record(message);
        return;
      case "custom":
        if (message.seq > 0n) this.#record(message);
        else this.#effects.tell({ kind: "custom", message });
        return;
      case "ack":
        this.#acked(payload.value, Number(message.timestamp));
        return;
      case "cursor":
        this.roster.moved(message, payload.value);
        this.#effects.tell({ kind: "roster" });
        return;
      case "presence":
        this.roster.told(message, payload.value);
        this.#effects.tell({ kind: "roster" });
        return;
      case "heartbeat":
        this.#heartbeat(payload.value, nowMs, receivedBytes);
        return;
      case "welcome":
        this.#welcomed(payload.value, message.userId);
        return;
      case "snapshot":
        this.#snapshotPart(payload.value);
        return;
      case "tokenStatus":
        if (payload.value.scopes.length > 0) this.#scopes = payload.value.scopes;
        this.#effects.tell({ kind: "token-status", status: payload.value });
        return;
      case "fault":
        this.#faulted(payload.value);
        return;
      case "goAway":
        this.#goAwayMs = Number(payload.value.reconnectAfterMs);
        this.#effects.tell({ kind: "go-away", goAway: payload.value });
        return;
      // A client is never sent the first two, and what it does not know is for newer ones.
      case "join":
      case "tokenRotation":
      case undefined:
        return;
      default:
        assertNever(payload);
    }
  }

  ended(end: StreamEnd): void {
    if (this.#phase.kind === "offline" || this.#phase.kind === "stopped") return;
    this.#leave(judgeEnd(end), end.fault);
  }

  /** Takes another client id; see `SessionClient.renew`. */
  renew(clientId: string, tail: Iterable<SessionMessage> | undefined): void {
    const document = this.#document;
    const isTold = tail !== undefined && this.#follower.settle(tail);
    for (const entry of isTold ? [] : [...document.outbox.entries]) {
      if (entry.clientSeq > 0 && entry.work.kind !== "comment") document.dropUncertain(entry);
    }
    document.outbox.forget();
    this.#follower.clientId = clientId;
    this.position.mode = "resync";
    this.#phase = { kind: "offline" };
  }

  /** Sends what can go now. */
  flush(): void {
    if (this.#phase.kind !== "live") return;
    const maxUnackedBytes = this.#limits?.maxUnackedBytes ?? 0;
    for (const { payload, clientSeq } of this.#document.release(maxUnackedBytes || Number.POSITIVE_INFINITY)) {
      this.#effects.send(this.#message(payload, clientSeq));
    }
  }

  /** What is not logged is sent now or never. */
  sendEphemeral(payload: MessageInitShape<typeof SessionMessageSchema>["payload"]): void {
    if (this.#phase.kind === "live") this.#effects.send(this.#message(payload));
  }

  /** Whether what comes first on this stream is still to come, or under way. */
  get #isEarly(): boolean {
    const phase = this.#phase;
    const awaits = phase.kind === "joining" || (phase.kind === "catching-up" && phase.awaits === "snapshot");
    return awaits || this.#assembly !== undefined;
  }

  #record(message: SessionMessage): void {
    if (this.#isEarly) {
      this.#check("a record came before what was to come first");
      return;
    }
    if (this.#phase.kind === "catching-up") this.#adopt(this.#phase.welcome);
    this.#check(this.#follower.apply(message));
    this.#enterLiveAtHead();
  }

  #acked(ack: Ack, timestampMs: number): void {
    this.#check(this.#follower.acknowledge(ack, timestampMs, this.#isEarly));
    this.#retries = 0;
    this.#enterLiveAtHead();
  }

  #heartbeat({ echo, sentAt }: Heartbeat, nowMs: number, receivedBytes: number): void {
    if (echo !== 0n) return;
    const receivedSeq = BigInt(this.position.lastSeq);
    const value = { sentAt: BigInt(nowMs), receivedSeq, echo: sentAt, receivedBytes: BigInt(receivedBytes) };
    this.#effects.send(this.#message({ case: "heartbeat", value }));
  }

  #welcomed(welcome: Welcome, userId: string): void {
    const isFirst = this.#phase.kind === "joining";
    if (userId !== "") this.#follower.userId = userId;
    if (welcome.clientId !== "") this.#follower.clientId = welcome.clientId;
    this.#limits = welcome.limits ?? this.#limits;
    this.#scopes = welcome.scopes;
    this.roster.reset(welcome.participants);
    this.#effects.tell({ kind: "welcome", welcome });
    if (isFirst && welcome.outcome === Outcome.RESUMED) {
      this.#resumed(welcome);
      return;
    }
    const last = Number(welcome.lastClientSeq);
    if (!isFirst && this.#document.outbox.hasSentAfter(last)) {
      // What is not in the snapshot is on its way, and what the relay makes of it there cannot be told from a
      // snapshot's difference. A new stream settles what is in and what is not.
      this.#leave("resync", undefined);
      return;
    }
    this.#catchUp(welcome, this.position.mode !== "new" || welcome.outcome === Outcome.RESYNCED);
  }

  #resumed(welcome: Welcome): void {
    const last = Number(welcome.lastClientSeq);
    const { position } = this;
    const { outbox } = this.#document;
    if (position.mode !== "resume" || welcome.epoch !== position.epoch || last < outbox.acked) {
      this.#check("a stream goes on from where it never was");
      return;
    }
    position.adopt(welcome);
    outbox.resume(last);
    this.#enterLive();
  }

  #catchUp(welcome: Welcome, snapshotFollows: boolean): void {
    const { history = History.HISTORY_UNSPECIFIED } = this.#options;
    this.#assembly = undefined;
    if (snapshotFollows || history === History.SNAPSHOT) {
      this.#phase = { kind: "catching-up", welcome, awaits: "snapshot" };
    } else if (history === History.HISTORY_UNSPECIFIED) {
      this.#phase = { kind: "catching-up", welcome, awaits: "either" };
    } else {
      this.#phase = { kind: "catching-up", welcome, awaits: "records" };
      if (history === History.LIVE) this.position.lastSeq = Number(welcome.headSeq);
      if (this.position.lastSeq < Number(welcome.headSeq)) return;
      this.#adopt(welcome);
      this.#enterLive();
    }
  }

  #adopt(welcome: Welcome): void {
    if (this.position.mode === "new") this.#document.outbox.skipTo(Number(welcome.lastClientSeq));
    this.position.adopt(welcome);
  }

  #snapshotPart(part: Snapshot): void {
    const phase = this.#phase;
    if (phase.kind !== "catching-up" || (phase.awaits !== "snapshot" && this.position.mode !== "new")) {
      this.#check("a snapshot came without a Welcome");
      return;
    }
    this.#assembly ??= new SnapshotAssembly();
    let snapshot: AssembledSnapshot | undefined;
    try {
      snapshot = this.#assembly.add(part);
    } catch (error) {
      this.#check(error instanceof Error ? error.message : "a snapshot is damaged");
      return;
    }
    if (snapshot === undefined) return;
    if (snapshot.epoch !== phase.welcome.epoch) {
      this.#check("a snapshot is of another epoch than its Welcome");
      return;
    }
    this.#assembly = undefined;
    this.#document.resync(snapshot, Number(phase.welcome.lastClientSeq));
    this.position.lastSeq = snapshot.seq;
    this.#adopt(phase.welcome);
    this.#phase = { ...phase, awaits: "records" };
    this.#enterLiveAtHead();
  }

  #enterLiveAtHead(): void {
    const phase = this.#phase;
    if (phase.kind === "catching-up" && this.position.lastSeq >= Number(phase.welcome.headSeq)) this.#enterLive();
  }

  #enterLive(): void {
    this.#phase = { kind: "live" };
    this.#effects.tell({ kind: "live" });
  }

  #faulted(fault: Fault): void {
    const outcome = answerFault(this.#document, fault);
    switch (outcome.kind) {
      case "done":
        return;
      case "tell":
        this.#effects.tell({ kind: "fault", fault });
        return;
      case "retry": {
        const ownMs = Math.min(minRetryMs * 2 ** this.#retries, maxRetryMs);
        this.#retries += 1;
        this.#effects.retryAfter(outcome.afterMs > 0 ? outcome.afterMs : ownMs);
        return;
      }
      case "leave":
        this.#leave(outcome.action, fault);
        return;
      default:
        assertNever(outcome);
    }
  }

  /** The relay broke the contract: nothing of the message counts, and what does count is settled anew. */
  #check(problem: Problem): void {
    if (problem === undefined) return;
    this.#effects.tell({ kind: "protocol-error", message: problem });
    this.#leave("resync", undefined);
  }

  /** This stream is of no more use. */
  #leave(verdict: ReturnType<typeof judgeEnd>, fault: Fault | undefined): void {
    this.#phase = { kind: "offline" };
    this.#assembly = undefined;
    switch (verdict) {
      case "renew-client":
        this.#effects.next({ kind: "renew-client", fromSeq: this.position.lastSeq + 1 });
        return;
      case "stop":
        this.#phase = { kind: "stopped", fault };
        this.#effects.next({ kind: "stop", fault });
        return;
      case "resync":
        this.position.mode = "resync";
        this.#reconnect(fault, false);
        return;
      case "reconnect":
        this.#reconnect(fault, false);
        return;
      case "reauthenticate":
        this.#reconnect(fault, true);
        return;
      default:
        assertNever(verdict);
    }
  }

  #reconnect(fault: Fault | undefined, reauthenticate: boolean): void {
    const afterMs = Number(fault?.retryAfterMs ?? 0) || this.#goAwayMs;
    this.#effects.next({ kind: "reconnect", mode: this.position.mode, afterMs, reauthenticate });
  }

  #message(payload: MessageInitShape<typeof SessionMessageSchema>["payload"], clientSeq = 0): SessionMessage {
    const { sessionId } = this.#options;
    return create(SessionMessageSchema, { sessionId, clientSeq: BigInt(clientSeq), ...(payload && { payload }) });
  }
}
