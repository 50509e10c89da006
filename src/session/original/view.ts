import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Text } from "@codemirror/state";
import {
  type CodeEdit,
  type Comment,
  type SessionMessage,
  SessionMessageSchema,
  type Snapshot,
  PresenceUpdate_Status as Status,
  type Welcome,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../reasons.ts";
import { SnapshotAssembly } from "../snapshot-parts.ts";
import { createText, lineBreak } from "../text.ts";
import { PresenceByUser } from "./presence-by-user.ts";
import { ShownFile, type ToldLine } from "./shown-file.ts";

/** The name under which the relay speaks for itself, as the original service does. */
export const systemUserId = "system";

/** Lines above which telling a file waits, if it is edited again by what is at hand already. */
const patientLines = 64;

/** One of the client's own edits, on its way into the log. */
interface SentEdit {
  readonly version: number;
  readonly lineNumber: number;
  /** Where its content has a line break, clients may differ in what they show. */
  readonly isOneLine: boolean;
}

interface KnownFile {
  readonly shown: ShownFile;
  /** The newest that the client was told. */
  toldVersion: number;
  /**
   * A client that writes on this version, or a newer one, has heard all that it was told of the file. Infinite: nobody
   * can know, since it may count a version that came back to it as its own edit's and name it before it hears of it.
   */
  heardFrom: number;
}

type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;

/** A version's text where somebody holds it: so many views of one session hold its texts once. */
export type HeldText = (path: string, version: number) => Text | undefined;

/** What a step of telling brings; undefined where there was something to look at and nothing to tell. */
export type Told = SessionMessage | undefined;

/**
 * A session as a client of the original contract is told of it. What goes in is what a participant is sent who holds
 * nothing: a snapshot perhaps, records, its own ones whole, and what is not logged. What comes out are messages with the
 * original's fields alone, made one by one as they are taken, so that much text costs no memory.
 */
export class OriginalView {
  readonly #userId: string;
  readonly #clientId: string;
  readonly #heldText: HeldText;
  readonly #files = new Map<string, KnownFile>();
  readonly #sent = new Map<number, SentEdit>();
  readonly #presence = new PresenceByUser();
  readonly #snapshot = new SnapshotAssembly();

  constructor(userId: string, clientId: string, heldText: HeldText = () => undefined) {
    this.#heldText = heldText;
    this.#userId = userId;
    this.#clientId = clientId;
    this.#presence.sees(userId, clientId);
  }

  /** Lines that the client shows of a file, those that it wrote itself among them. */
  linesShown(path: string): number {
    return this.#files.get(path)?.shown.lines ?? 0;
  }

  /** The client has sent this edit; its record comes in its place of the order. */
  sent(clientSeq: number, { filePath, version, lineNumber, content }: CodeEdit): void {
    this.#sent.set(clientSeq, { version, lineNumber, isOneLine: !content.includes(lineBreak) });
    this.#file(filePath).shown.writes(lineNumber);
  }

  /** Messages that are at hand together, in their order. Everything must be taken before the next are told. */
  *tell(messages: readonly SessionMessage[]): Generator<Told> {
    const lastEdits = new Map<string, SessionMessage>();
    for (const message of messages) {
      if (message.payload.case === "edit") lastEdits.set(message.payload.value.filePath, message);
    }
    for (const message of messages) {
      const { payload } = message;
      switch (payload.case) {
        case "edit":
          yield* this.#edit(message, payload.value, lastEdits.get(payload.value.filePath) === message);
          break;
        case "comment":
          if (!this.#isOwn(message)) yield tellComment(message, payload.value);
          break;
        case "cursor": {
          if (this.#isOwn(message)) break;
          this.#presence.sees(message.userId, message.clientId);
          const { filePath, line, column } = payload.value;
          yield tellAs(message, { case: "cursor", value: { filePath, line, column } });
          break;
        }
        case "presence":
          if (!this.#isOwn(message)) yield this.#tellPresence(message, payload.value.status);
          break;
        case "heartbeat":
          yield tellAs({ ...message, userId: systemUserId }, presence(Status.ACTIVE));
          break;
        case "welcome":
          yield* this.#tellParticipants(message, payload.value);
          break;
        case "snapshot":
          yield* this.#tellSnapshot(message, payload.value);
          break;
        case "custom":
        case "ack":
        case "join":
        case "tokenRotation":
        case "tokenStatus":
        case "fault":
        case "goAway":
        case undefined:
          break;
        default:
          assertNever(payload);
      }
    }
  }

  #file(path: string): KnownFile {
    const known = this.#files.get(path) ?? { shown: new ShownFile(), toldVersion: 0, heardFrom: 0 };
    this.#files.set(path, known);
    return known;
  }

  #isOwn({ userId, clientId }: SessionMessage): boolean {
    return userId === this.#userId && clientId === this.#clientId;
  }

  *#edit(message: SessionMessage, edit: CodeEdit, isLast: boolean): Generator<Told> {
    const { filePath, version, changes, deleted } = edit;
    const file = this.#file(filePath);
    const { shown } = file;
    const wasTold = shown.untoldLines === 0;
    shown.apply(changes, this.#heldText(filePath, version));
    const sent = this.#isOwn(message) ? this.#take(Number(message.clientSeq)) : undefined;
    if (sent !== undefined) {
      // It has what it wrote already, unless something came between: then it shows one of the two, nobody knows which.
      const isAsWritten = wasTold && sent.isOneLine && sent.version >= file.heardFrom && shown.isWhole;
      if (isAsWritten) return shown.accept();
      shown.doubt(sent.lineNumber);
    }
    // Else the client would never learn of a version on which alone it can write the file anew.
    if (deleted) shown.doubt(1);
    const isCountable = sent !== undefined && sent.version + 1 >= version;
    file.heardFrom = isCountable ? Number.POSITIVE_INFINITY : version;
    if (!isLast && shown.untoldLines > patientLines) return;
    yield* tellLines(message, filePath, version, file);
  }

  /** What the client sent under this number. */
  #take(clientSeq: number): SentEdit | undefined {
    const sent = this.#sent.get(clientSeq);
    this.#sent.delete(clientSeq);
    return sent;
  }

  #tellPresence(message: SessionMessage, said: Status): Told {
    const status = this.#presence.told(message.userId, message.clientId, said);
    return status === undefined ? undefined : tellAs(message, presence(status));
  }

  /** Who is there already: the original tells a joiner by the messages that it kept. */
  *#tellParticipants(message: SessionMessage, { participants }: Welcome): Generator<Told> {
    for (const { userId, clientId, status, cursor } of participants) {
      if (userId === this.#userId && clientId === this.#clientId) continue;
      const from = { ...message, userId };
      if (this.#presence.sees(userId, clientId)) yield tellAs(from, presence(Status.JOINED));
      if (status === Status.IDLE) yield tellAs(from, presence(status));
      if (cursor === undefined) continue;
      const { filePath, line, column } = cursor;
      yield tellAs(from, { case: "cursor", value: { filePath, line, column } });
    }
  }

  *#tellSnapshot(message: SessionMessage, part: Snapshot): Generator<Told> {
    const whole = this.#snapshot.add(part);
    if (whole === undefined) return;
    for (const [path, { version, content }] of whole.files) {
      const shown = new ShownFile(this.#heldText(path, version) ?? createText(content));
      const file = { shown, toldVersion: 0, heardFrom: version };
      this.#files.set(path, file);
      yield* tellLines({ ...message, userId: systemUserId }, path, version, file);
    }
    for (const comment of whole.comments) yield tellComment({ ...message, timestamp: comment.timestamp }, comment);
  }
}

/**
 * What the client does not show yet. Before the last line it has not got the version: until then it writes, if it does,
 * on the one that it was told before.
 */
function* tellLines(from: From, filePath: string, version: number, file: KnownFile): Generator<Told> {
  let next: ToldLine | undefined;
  const tellNext = (version: number): Told => {
    if (next === undefined) return undefined;
    const { number: lineNumber, content } = next;
    return tellAs(from, { case: "edit", value: { filePath, lineNumber, content, version } });
  };
  for (const line of file.shown.tell()) {
    if (line === undefined) {
      yield undefined;
    } else {
      yield tellNext(file.toldVersion);
      next = line;
    }
  }
  yield tellNext(version);
  file.toldVersion = version;
}

/** As its author's, whoever changed it last; a deleted one has no text. */
function tellComment(from: From, { commentId, lineNumber, text, userId }: Comment): SessionMessage {
  return tellAs({ ...from, userId }, { case: "comment", value: { commentId, lineNumber, text } });
}

function presence(status: Status): Payload {
  return { case: "presence", value: { status } };
}

type From = Pick<SessionMessage, "sessionId" | "userId" | "timestamp">;

/** With the original's fields alone. */
function tellAs({ sessionId, userId, timestamp }: From, payload: Payload): SessionMessage {
  return create(SessionMessageSchema, { sessionId, userId, timestamp, payload });
}
