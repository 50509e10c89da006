import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ChangeSet, Text } from "@codemirror/state";
import type { Limits, PresenceUpdate_Status, SessionMessage } from "../../gen/codereview/v1/codereview_pb.ts";
import { CommentSchema, CustomSchema, PresenceUpdateSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import type { CommentState } from "../state.ts";
import { encodeCursor, type Selection } from "./cursor.ts";
import { ClientDocument } from "./document.ts";
import { type ClientEffect, EffectList } from "./effects.ts";
import { defaultEditBounds, type EditBounds } from "./next-edit.ts";
import type { PendingFile } from "./pending-file.ts";
import type { Present } from "./roster-view.ts";
import { ClientStream, type Phase, type StreamOptions } from "./stream.ts";
import type { StreamEnd } from "./stream-end.ts";

export interface ClientOptions extends StreamOptions {
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

/**
 * One client of one session, as a pure machine: what arrives and what the application does come in by its methods,
 * which return what is to be sent, what is to be done about the stream, and what the application is to be told. It
 * knows no clock and no network. A caller feeds it the messages of one stream at a time, from `join` to `ended` or to
 * the effect `next`, after which it closes the stream and feeds nothing more of it.
 */
export class SessionClient {
  readonly sessionId: string;
  readonly #effects = new EffectList();
  readonly #document: ClientDocument;
  readonly #stream: ClientStream;

  constructor(options: ClientOptions) {
    this.sessionId = options.sessionId;
    const bounds = options.editBounds ?? defaultEditBounds;
    this.#document = new ClientDocument(bounds, (event) => this.#effects.tell(event));
    this.#stream = new ClientStream(options, this.#document, this.#effects);
  }

  get clientId(): string {
    return this.#stream.clientId;
  }

  /** The token's subject, as the relay told it; empty before the first Welcome. */
  get userId(): string {
    return this.#stream.userId;
  }

  get phase(): Phase {
    return this.#stream.phase;
  }

  get epoch(): string {
    return this.#stream.position.epoch;
  }

  /** The last record that was applied. */
  get lastSeq(): number {
    return this.#stream.position.lastSeq;
  }

  /** Of the Welcome whose history this client holds; a `Publish` is sent with it. */
  get resumeToken(): string {
    return this.#stream.position.resumeToken;
  }

  /** The number that the next logged message gets, if all that was sent is logged. */
  get nextClientSeq(): number {
    return this.#document.outbox.nextClientSeq;
  }

  get scopes(): readonly string[] {
    return this.#stream.scopes;
  }

  get limits(): Limits | undefined {
    return this.#stream.limits;
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

  /** A file with what is pending in it. */
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

  roster(): IterableIterator<Present> {
    return this.#stream.roster.values();
  }

  /** The Join that a new stream begins with. */
  join(): SessionMessage {
    return this.#stream.join();
  }

  /** A message came down the stream. `receivedBytes`: all that came on it so far, told back as credit. */
  receive(message: SessionMessage, nowMs: number, receivedBytes = 0): readonly ClientEffect[] {
    this.#stream.receive(message, nowMs, receivedBytes);
    return this.#flush();
  }

  /** A reply of a `Publish`. Its acks say durable; the place in the order is told on the stream. */
  receiveReply(message: SessionMessage, nowMs: number): readonly ClientEffect[] {
    if (message.payload.case !== "ack") return this.receive(message, nowMs);
    this.#document.outbox.markDurable(Number(message.payload.value.clientSeq));
    return this.#flush();
  }

  /** A `Publish` is over: what it carried and did not answer, behind a fault or as the call failed, is sent again. */
  publishEnded(clientSeqs: readonly number[]): readonly ClientEffect[] {
    for (const clientSeq of clientSeqs) this.#document.outbox.holdUnanswered(clientSeq);
    return this.#flush();
  }

  /** The time of a `retry-after` has come. */
  retry(): readonly ClientEffect[] {
    this.#document.outbox.proceed();
    return this.#flush();
  }

  /** The stream is over, however it ended. */
  ended(end: StreamEnd = {}): readonly ClientEffect[] {
    this.#stream.ended(end);
    return this.#flush();
  }

  /**
   * Takes a new client id, after SUPERSEDED. `tail`: the log's records after `lastSeq`, whole and in order, as it was
   * read after the stream ended, when nothing of that stream could still come in. Messages of the old id found there are
   * acked where they are what was sent (the other stream counts on under the same id); all else is kept and sent anew
   * under the new one. Without it, or where it is not what follows, what was sent and not acked goes at most once:
   * comments are sent again, since one that is there is replaced by itself; edits and custom messages are not, and the
   * application is told.
   */
  renew(clientId: string, tail?: Iterable<SessionMessage>): readonly ClientEffect[] {
    this.#stream.renew(clientId, tail);
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
    if (ephemeral) this.#stream.sendEphemeral({ case: "custom", value });
    else this.#document.custom(value);
    return this.#flush();
  }

  /** The own cursor or selection, on the displayed text; sent now or never. */
  cursor(path: string, selection: Selection): readonly ClientEffect[] {
    const file = this.#document.file(path);
    const value = file === undefined ? undefined : encodeCursor(file, selection);
    if (value !== undefined) this.#stream.sendEphemeral({ case: "cursor", value });
    return this.#flush();
  }

  presence(status: PresenceUpdate_Status, displayName = ""): readonly ClientEffect[] {
    this.#stream.sendEphemeral({ case: "presence", value: create(PresenceUpdateSchema, { status, displayName }) });
    return this.#flush();
  }

  #comment(comment: MessageInitShape<typeof CommentSchema>): readonly ClientEffect[] {
    this.#document.comment(create(CommentSchema, comment));
    return this.#flush();
  }

  #flush(): readonly ClientEffect[] {
    this.#stream.flush();
    return this.#effects.take();
  }
}
