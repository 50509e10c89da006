import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ChangeSet, Text } from "@codemirror/state";
import type {
  Ack,
  CursorPosition,
  Fault,
  Heartbeat,
  Limits,
  SessionMessage,
  Snapshot,
  Welcome,
} from "../../gen/codereview/v1/codereview_pb.ts";
import {
  CommentSchema,
  CustomSchema,
  Join_History as History,
  JoinSchema,
  Welcome_Outcome as Outcome,
  type PresenceUpdate_Status,
  SessionMessageSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../reasons.ts";
import { type AssembledSnapshot, SnapshotAssembly } from "../snapshot-parts.ts";
import type { CommentState } from "../state.ts";
import { encodeCursor, type Selection } from "./cursor.ts";
import { ClientDocument, type Problem } from "./document.ts";
import type { ClientEffect, ClientEvent, JoinMode, NextStep } from "./effects.ts";
import { defaultEditBounds, type EditBounds } from "./next-edit.ts";
import { matchesRecord } from "./own-record.ts";
import type { PendingFile } from "./pending-file.ts";
import { RosterView } from "./roster-view.ts";
import { judgeEnd, parseAction, type StreamEnd } from "./stream-end.ts";

export interface ClientOptions {
  readonly sessionId: string;
  /** Of this device or tab: `[A-Za-z0-9_-]{1,64}`. */
  readonly clientId: string;
  /** For the relay's logs: "acme-ios/3.2". */
  readonly clientName?: string;
  /** Of the first join; unspecified, the relay chooses. */
  readonly history?: History;
  readonly editBounds?: EditBounds;
}

/** A comment as an application says it. */
export interface NewComment {
  readonly id: string;
  /** Empty: it belongs to no file. */
  readonly path: string;
  /** 1-based, of the displayed text. */
  readonly line: number;
  readonly text: string;
  readonly parentId?: string;
}

/** Where the stream is. */
export type Phase =
  | { readonly kind: "offline" }
  /** Joined, and no Welcome yet. */
  | { readonly kind: "joining" }
  /** Nothing is sent before what the Welcome promised is here. */
  | { readonly kind: "catching-up"; readonly welcome: Welcome; readonly awaits: "snapshot" | "anything" | "records" }
  | { readonly kind: "live" }
  | { readonly kind: "stopped"; readonly fault: Fault | undefined };

/** The shortest time after which a message that was refused for now is sent again, and the longest that is added by itself. */
const minRetryMs = 50;
const maxRetryMs = 5_000;

/**
 * One client of one session, as a pure machine: what arrives and what the application does come in by its methods,
 * which return what is to be sent, what is to be done about the stream, and what the application is to be told. It knows
 * no clock and no network. A caller feeds it the messages of one stream at a time, from `join` to `ended`.
 */
export class SessionClient {
  readonly sessionId: string;
  readonly roster = new RosterView();
  readonly #options: ClientOptions;
  readonly #document: ClientDocument;
  #effects: ClientEffect[] = [];
  #clientId: string;
  #userId = "";
  #phase: Phase = { kind: "offline" };
  #mode: JoinMode = "new";
  #epoch = "";
  #resumeToken = "";
  #lastSeq = 0;
  #scopes: readonly string[] = [];
  #limits: Limits | undefined;
  #assembly: SnapshotAssembly | undefined;
  /** Refusals for now, in a row. */
  #retries = 0;
  /** Of the GoAway that announced the stream's end. */
  #goAwayMs = 0;

  constructor(options: ClientOptions) {
    this.sessionId = options.sessionId;
    this.#options = options;
    this.#clientId = options.clientId;
    this.#document = new ClientDocument(options.editBounds ?? defaultEditBounds, (event) => this.#tell(event));
  }

  get clientId(): string {
    return this.#clientId;
  }

  /** The token's subject, as the relay told it; empty before the first Welcome. */
  get userId(): string {
    return this.#userId;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** The last record that was applied. */
  get lastSeq(): number {
    return this.#lastSeq;
  }

  get resumeToken(): string {
    return this.#resumeToken;
  }

  /** The number that the next logged message gets, if all that was sent is logged. */
  get nextClientSeq(): number {
    const { acked, entries } = this.#document.outbox;
    return acked + 1 + entries.filter(({ clientSeq }) => clientSeq > 0).length;
  }

  get scopes(): readonly string[] {
    return this.#scopes;
  }

  get limits(): Limits | undefined {
    return this.#limits;
  }

  /** Whether the log has all that was done here. */
  get settled(): boolean {
    return this.#document.settled;
  }

  /** What is displayed of a file; undefined = it is not there. */
  text(path: string): Text | undefined {
    const displayed = this.#document.file(path)?.displayed;
    return displayed?.exists === true ? displayed.text : undefined;
  }

  file(path: string): PendingFile | undefined {
    return this.#document.file(path);
  }

  /** Files that are displayed. */
  *paths(): Generator<string> {
    for (const { path, displayed } of this.#document.files()) if (displayed.exists) yield path;
  }

  /** Comments as the log has them; a line is of the confirmed text. */
  comments(): IterableIterator<CommentState> {
    return this.#document.comments.values();
  }

  comment(id: string): CommentState | undefined {
    return this.#document.comments.get(id);
  }

  /** The Join that a new stream begins with. */
  join(): SessionMessage {
    const mode = this.#mode;
    this.#phase = { kind: "joining" };
    this.#assembly = undefined;
    this.#goAwayMs = 0;
    const join = create(JoinSchema, {
      clientId: this.#clientId,
      clientName: this.#options.clientName ?? "",
      pendingFrom: BigInt(this.#document.outbox.pendingFrom),
      history: mode === "new" ? (this.#options.history ?? History.HISTORY_UNSPECIFIED) : History.SNAPSHOT,
      protocol: 1,
    });
    if (mode === "resume") {
      join.resumeToken = this.#resumeToken;
      join.lastSeq = BigInt(this.#lastSeq);
    }
    return this.#message({ case: "join", value: join });
  }

  /** A message came down the stream. `receivedBytes`: all that came on it so far, told back as credit. */
  receive(message: SessionMessage, nowMs: number, receivedBytes = 0): readonly ClientEffect[] {
    const { payload } = message;
    if (this.#phase.kind === "offline" || this.#phase.kind === "stopped") return [];
    switch (payload.case) {
      case "edit":
      case "comment":
        this.#record(message);
        break;
      case "custom":
        if (message.seq > 0n) this.#record(message);
        else this.#tell({ kind: "custom", message });
        break;
      case "ack":
        this.#check(this.#acked(payload.value, Number(message.timestamp)));
        break;
      case "cursor":
        this.roster.moved(message, payload.value);
        this.#tell({ kind: "roster" });
        break;
      case "presence":
        this.roster.told(message, payload.value);
        this.#tell({ kind: "roster" });
        break;
      case "heartbeat":
        this.#heartbeat(payload.value, nowMs, receivedBytes);
        break;
      case "welcome":
        this.#welcomed(payload.value, message.userId);
        break;
      case "snapshot":
        this.#snapshotPart(payload.value);
        break;
      case "tokenStatus":
        if (payload.value.scopes.length > 0) this.#scopes = payload.value.scopes;
        this.#tell({ kind: "token-status", status: payload.value });
        break;
      case "fault":
        this.#fault(payload.value);
        break;
      case "goAway":
        this.#goAwayMs = Number(payload.value.reconnectAfterMs);
        this.#tell({ kind: "go-away", goAway: payload.value });
        break;
      // A client is never sent these, and what it does not know is for newer ones.
      case "join":
      case "tokenRotation":
      case undefined:
        break;
      default:
        return assertNever(payload);
    }
    return this.#flush();
  }

  /** A reply of a `Publish`. Its acks say durable; the place in the order is told on the stream. */
  receiveReply(message: SessionMessage, nowMs: number): readonly ClientEffect[] {
    if (message.payload.case !== "ack") return this.receive(message, nowMs);
    const entry = this.#document.outbox.sent(Number(message.payload.value.clientSeq));
    if (entry !== undefined) entry.standing = "durable";
    return [];
  }

  /** A `Publish` is over: what it carried and did not answer, behind a fault or by a failed call, is sent again. */
  publishEnded(clientSeqs: readonly number[]): readonly ClientEffect[] {
    const { outbox } = this.#document;
    for (const clientSeq of clientSeqs) {
      const entry = outbox.sent(clientSeq);
      if (entry?.standing === "sent") outbox.hold(entry);
    }
    return this.#flush();
  }

  /** The time of a `retry-after` has come. */
  retry(): readonly ClientEffect[] {
    this.#document.outbox.proceed();
    return this.#flush();
  }

  /** The stream is over, however it ended. */
  ended(end: StreamEnd = {}): readonly ClientEffect[] {
    if (this.#phase.kind === "offline" || this.#phase.kind === "stopped") return [];
    const { fault } = end;
    const verdict = judgeEnd(end);
    switch (verdict) {
      case "renew-client":
        this.#leave({ kind: "renew-client", fromSeq: this.#lastSeq + 1 });
        break;
      case "stop":
        this.#stop(fault);
        break;
      case "resync":
        this.#mode = "resync";
        this.#reconnect(fault, false);
        break;
      case "reconnect":
      case "reauthenticate":
        this.#reconnect(fault, verdict === "reauthenticate");
        break;
      default:
        return assertNever(verdict);
    }
    return this.#flush();
  }

  /**
   * Takes a new client id, after SUPERSEDED. `tail`: the log's records after `lastSeq`, whole and in order, as it was
   * read after the stream ended, when nothing of that stream could still come in. Messages of the old id found there are
   * acked where they are what was sent (the other stream counts on under the same id); all else is kept and sent anew
   * under the new one. Without it, what was sent and not acked goes at most once: comments are sent again, since one that
   * is there already is replaced by itself; edits and custom messages are not, and the application is told.
   */
  renew(clientId: string, tail?: Iterable<SessionMessage>): readonly ClientEffect[] {
    const { outbox } = this.#document;
    let problem: Problem;
    if (tail !== undefined) {
      for (const record of tail) {
        problem = this.#settle(record);
        if (problem !== undefined) break;
      }
    }
    if (tail === undefined || problem !== undefined) {
      for (const entry of [...outbox.entries]) {
        if (entry.clientSeq > 0 && entry.work.kind !== "comment") this.#document.dropUncertain(entry);
      }
    }
    outbox.forget();
    this.#clientId = clientId;
    this.#resumeToken = "";
    this.#mode = "resync";
    this.#phase = { kind: "offline" };
    return this.#flush();
  }

  /** Changes of the displayed text; of a file that is not there they are its first, and make it. */
  edit(path: string, changes: ChangeSet): readonly ClientEffect[] {
    this.#document.edit(path, changes);
    return this.#flush();
  }

  createFile(path: string, content = ""): readonly ClientEffect[] {
    this.#document.createFile(path, content);
    return this.#flush();
  }

  deleteFile(path: string): readonly ClientEffect[] {
    this.#document.deleteFile(path);
    return this.#flush();
  }

  /** Says a comment, or replaces the one of this id. */
  putComment({ id, path, line, text, parentId = "" }: NewComment): readonly ClientEffect[] {
    return this.#comment({ commentId: id, filePath: path, lineNumber: line, text, parentId });
  }

  /** Changes what a comment says, where it stands. */
  rewriteComment(id: string, text: string): readonly ClientEffect[] {
    return this.#comment({ commentId: id, text, resolved: this.comment(id)?.resolved ?? false });
  }

  resolveComment(id: string, resolved = true): readonly ClientEffect[] {
    return this.#comment({ commentId: id, text: this.comment(id)?.text ?? "", resolved });
  }

  deleteComment(id: string): readonly ClientEffect[] {
    return this.#comment({ commentId: id, deleted: true });
  }

  /** An ephemeral one is sent now or never. */
  custom(type: string, data: Uint8Array, ephemeral = false): readonly ClientEffect[] {
    const value = create(CustomSchema, { type, data, ephemeral });
    if (ephemeral) this.#sendEphemeral({ case: "custom", value });
    else this.#document.custom(value);
    return this.#flush();
  }

  /** The own cursor or selection, on the displayed text; sent now or never. */
  cursor(path: string, selection: Selection): readonly ClientEffect[] {
    const file = this.#document.file(path);
    const value: CursorPosition | undefined = file === undefined ? undefined : encodeCursor(file, selection);
    if (value !== undefined) this.#sendEphemeral({ case: "cursor", value });
    return this.#flush();
  }

  presence(status: PresenceUpdate_Status, displayName = ""): readonly ClientEffect[] {
    this.#sendEphemeral({
      case: "presence",
      value: { $typeName: "codereview.v1.PresenceUpdate", status, displayName },
    });
    return this.#flush();
  }

  #comment(comment: MessageInitShape<typeof CommentSchema>): readonly ClientEffect[] {
    this.#document.comment(create(CommentSchema, comment));
    return this.#flush();
  }

  #record(message: SessionMessage): void {
    const { kind } = this.#phase;
    const early = kind === "joining" || (this.#phase.kind === "catching-up" && this.#phase.awaits === "snapshot");
    if (early || this.#assembly !== undefined) {
      this.#check("a record came before what was to come first");
      return;
    }
    if (this.#phase.kind === "catching-up") this.#adopt(this.#phase.welcome);
    this.#check(this.#apply(message));
    this.#enterLiveAtHead();
  }

  /** A record in its place of the order. */
  #apply(message: SessionMessage): Problem {
    const seq = Number(message.seq);
    if (seq !== this.#lastSeq + 1) return `record ${seq} came after ${this.#lastSeq}`;
    const { outbox } = this.#document;
    const clientSeq = Number(message.clientSeq);
    const own = message.clientId === this.#clientId && message.userId === this.#userId;
    let problem: Problem;
    if (own && outbox.sent(clientSeq) !== undefined) {
      problem = this.#acknowledge(message);
    } else {
      problem = this.#document.applyRecord(message);
      if (own) outbox.skipTo(clientSeq);
    }
    if (problem === undefined) this.#lastSeq = seq;
    return problem;
  }

  /** A record that is this client's own message, sent whole. */
  #acknowledge({ clientSeq, seq, userId, timestamp, payload }: SessionMessage): Problem {
    return this.#document.acknowledge({
      clientSeq: Number(clientSeq),
      seq: Number(seq),
      version: payload.case === "edit" ? payload.value.version : 0,
      userId,
      timestampMs: Number(timestamp),
    });
  }

  #acked(ack: Ack, timestampMs: number): Problem {
    const [clientSeq, seq] = [Number(ack.clientSeq), Number(ack.seq)];
    const { outbox } = this.#document;
    const entry = outbox.sent(clientSeq);
    if (seq === 0 || seq > this.#lastSeq + 1) {
      // It is in the log, and its place comes in the stream's order.
      if (entry !== undefined) entry.standing = "durable";
      return undefined;
    }
    if (seq <= this.#lastSeq) return entry === undefined ? undefined : "a pending message is acked in the past";
    const { kind } = this.#phase;
    const early = kind === "joining" || (this.#phase.kind === "catching-up" && this.#phase.awaits === "snapshot");
    if (early || this.#assembly !== undefined) return "an ack came before what was to come first";
    const { version } = ack;
    const problem = this.#document.acknowledge({ clientSeq, seq, version, userId: this.#userId, timestampMs });
    if (problem !== undefined) return problem;
    this.#lastSeq = seq;
    this.#retries = 0;
    this.#enterLiveAtHead();
    return undefined;
  }

  #heartbeat({ echo, sentAt }: Heartbeat, nowMs: number, receivedBytes: number): void {
    if (echo !== 0n) return;
    const value: MessageInitShape<typeof SessionMessageSchema>["payload"] = {
      case: "heartbeat",
      value: {
        sentAt: BigInt(nowMs),
        receivedSeq: BigInt(this.#lastSeq),
        echo: sentAt,
        receivedBytes: BigInt(receivedBytes),
      },
    };
    this.#effects.push({ kind: "send", message: this.#message(value) });
  }

  #welcomed(welcome: Welcome, userId: string): void {
    const first = this.#phase.kind === "joining";
    if (userId !== "") this.#userId = userId;
    if (welcome.clientId !== "") this.#clientId = welcome.clientId;
    this.#limits = welcome.limits ?? this.#limits;
    this.#scopes = welcome.scopes;
    this.roster.reset(welcome.participants);
    this.#tell({ kind: "welcome", welcome });
    const { outcome } = welcome;
    const last = Number(welcome.lastClientSeq);
    if (outcome === Outcome.RESUMED && first) {
      if (this.#mode !== "resume" || welcome.epoch !== this.#epoch || last < this.#document.outbox.acked) {
        this.#check("a stream goes on from where it never was");
        return;
      }
      this.#adopt(welcome);
      this.#document.outbox.resume(last);
      this.#enterLive();
      return;
    }
    // On a living stream: what is not in the snapshot is on its way, and what the relay makes of it there cannot be told
    // from a snapshot's difference. A new stream settles what is in and what is not.
    if (
      !first &&
      this.#document.outbox.entries.some(({ standing, clientSeq }) => standing !== "unsent" && clientSeq > last)
    ) {
      this.#mode = "resync";
      this.#reconnect(undefined, false);
      return;
    }
    this.#catchUp(welcome, outcome === Outcome.RESYNCED || this.#mode !== "new");
  }

  #catchUp(welcome: Welcome, snapshotFollows: boolean): void {
    const history = this.#options.history ?? History.HISTORY_UNSPECIFIED;
    this.#assembly = undefined;
    if (snapshotFollows || history === History.SNAPSHOT) {
      this.#phase = { kind: "catching-up", welcome, awaits: "snapshot" };
      return;
    }
    if (history === History.LIVE) this.#lastSeq = Number(welcome.headSeq);
    const awaits = history === History.HISTORY_UNSPECIFIED ? "anything" : "records";
    this.#phase = { kind: "catching-up", welcome, awaits };
    if (awaits === "records" && this.#lastSeq >= Number(welcome.headSeq)) {
      this.#adopt(welcome);
      this.#enterLiveAtHead();
    }
  }

  /** From now on a new stream goes on from here. */
  #adopt({ epoch, resumeToken, lastClientSeq }: Welcome): void {
    if (this.#mode === "new") this.#document.outbox.skipTo(Number(lastClientSeq));
    this.#epoch = epoch;
    this.#resumeToken = resumeToken;
    this.#mode = "resume";
  }

  #snapshotPart(part: Snapshot): void {
    const phase = this.#phase;
    if (phase.kind !== "catching-up" || (this.#mode === "resume" && phase.awaits !== "snapshot")) {
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
    this.#lastSeq = snapshot.seq;
    this.#adopt(phase.welcome);
    this.#phase = { ...phase, awaits: "records" };
    this.#enterLiveAtHead();
  }

  #enterLiveAtHead(): void {
    if (this.#phase.kind === "catching-up" && this.#lastSeq >= Number(this.#phase.welcome.headSeq)) this.#enterLive();
  }

  #enterLive(): void {
    this.#phase = { kind: "live" };
    this.#tell({ kind: "live" });
  }

  #fault(fault: Fault): void {
    const { outbox } = this.#document;
    const entry = fault.clientSeq > 0n ? outbox.sent(Number(fault.clientSeq)) : undefined;
    if (fault.reason === "SUPERSEDED") {
      this.#leave({ kind: "renew-client", fromSeq: this.#lastSeq + 1 });
      return;
    }
    if (fault.reason === "CLIENT_SEQ_REUSED" && entry !== undefined) {
      // The log has something else under this number: it is a new message's, once the log's count is known.
      entry.clientSeq = 0;
      this.#mode = "resync";
      this.#reconnect(undefined, false);
      return;
    }
    const action = parseAction(fault.action);
    switch (action) {
      case "drop":
        if (entry === undefined) this.#tell({ kind: "fault", fault });
        else this.#document.drop(entry, fault);
        return;
      case "retry":
        if (entry === undefined) this.#tell({ kind: "fault", fault });
        else if (fault.reason === "OUT_OF_ORDER") this.#outOfOrder(entry.clientSeq);
        else this.#retryLater(entry.clientSeq, Number(fault.retryAfterMs));
        return;
      case "resync":
        this.#mode = "resync";
        this.#reconnect(fault, false);
        return;
      case "reconnect":
        this.#reconnect(fault, false);
        return;
      case "stop":
        this.#stop(fault);
        return;
      case "none":
      case "reauthenticate":
        this.#tell({ kind: "fault", fault });
        return;
      default:
        assertNever(action);
    }
  }

  /** Part of the flow behind a refused message. Without one, the counts differ: tried once again, then settled anew. */
  #outOfOrder(clientSeq: number): void {
    const { outbox } = this.#document;
    const entry = outbox.sent(clientSeq);
    if (entry === undefined) return;
    entry.strikes = outbox.isDue(entry) ? entry.strikes + 1 : 0;
    if (entry.strikes > 1) {
      this.#check("the next message is called out of order");
      return;
    }
    outbox.hold(entry);
  }

  #retryLater(clientSeq: number, afterMs: number): void {
    const { outbox } = this.#document;
    const entry = outbox.sent(clientSeq);
    if (entry === undefined) return;
    outbox.hold(entry);
    if (outbox.waiting) return;
    outbox.wait();
    const ownMs = Math.min(minRetryMs * 2 ** this.#retries, maxRetryMs);
    this.#retries += 1;
    this.#effects.push({ kind: "retry-after", afterMs: afterMs > 0 ? afterMs : ownMs });
  }

  #check(problem: Problem): void {
    if (problem === undefined) return;
    this.#tell({ kind: "protocol-error", message: problem });
    this.#mode = "resync";
    this.#reconnect(undefined, false);
  }

  #reconnect(fault: Fault | undefined, reauthenticate: boolean): void {
    const afterMs = Number(fault?.retryAfterMs ?? 0) || this.#goAwayMs;
    const mode = this.#mode;
    this.#leave({ kind: "reconnect", mode, afterMs, reauthenticate });
  }

  #leave(step: NextStep): void {
    this.#phase = { kind: "offline" };
    this.#assembly = undefined;
    this.#effects.push({ kind: "next", step });
  }

  #stop(fault: Fault | undefined): void {
    this.#leave({ kind: "stop", fault });
    this.#phase = { kind: "stopped", fault };
  }

  /** A record of the log as it was read after the stream ended. */
  #settle(record: SessionMessage): Problem {
    const seq = Number(record.seq);
    if (seq !== this.#lastSeq + 1) return `record ${seq} came after ${this.#lastSeq}`;
    const { outbox } = this.#document;
    const [first] = outbox.entries;
    const own = record.clientId === this.#clientId && record.userId === this.#userId;
    const isIt =
      own &&
      first !== undefined &&
      first.clientSeq === Number(record.clientSeq) &&
      first.clientSeq === outbox.acked + 1 &&
      matchesRecord(first, record, (path) => this.#document.file(path));
    const problem = isIt ? this.#acknowledge(record) : this.#document.applyRecord(record);
    if (problem === undefined) this.#lastSeq = seq;
    return problem;
  }

  #sendEphemeral(payload: SessionMessage["payload"]): void {
    if (this.#phase.kind === "live") this.#effects.push({ kind: "send", message: this.#message(payload) });
  }

  /** What has gathered, with the messages that can go now. */
  #flush(): readonly ClientEffect[] {
    if (this.#phase.kind === "live") {
      const maxUnackedBytes = this.#limits?.maxUnackedBytes ?? 0;
      for (const { payload, clientSeq } of this.#document.release(maxUnackedBytes || Number.POSITIVE_INFINITY)) {
        this.#effects.push({ kind: "send", message: this.#message(payload, clientSeq) });
      }
    }
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #message(payload: MessageInitShape<typeof SessionMessageSchema>["payload"], clientSeq = 0): SessionMessage {
    const { sessionId } = this;
    return create(SessionMessageSchema, {
      sessionId,
      payload: payload ?? { case: undefined },
      clientSeq: BigInt(clientSeq),
    });
  }

  #tell(event: ClientEvent): void {
    this.#effects.push({ kind: "tell", event });
  }
}
