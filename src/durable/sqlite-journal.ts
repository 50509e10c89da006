import { crc32 } from "node:zlib";
import { joinPacks, type RecordPack, recordOverheadBytes, unpackRecords } from "./packed-records.ts";
import { bytesOf, integerOf, type SqlRow, textOf } from "./sqlite-driver.ts";
import type { ClientState, SessionState } from "./sqlite-session.ts";
import type { Statements } from "./sqlite-statements.ts";
import type { UndoList } from "./undo-list.ts";

/**
 * A session is folded when this many of its records, or bytes, wait in the journal: a segment is then one read of a few
 * pages. Measured with 100 sessions: at 64 records a commit wrote 18 pages, at 256 it writes 15.
 */
const foldRecords = 256;
const foldBytes = 32 * 1024;
/** A segment is not joined beyond this; one batch may be larger by itself. */
const segmentBytes = 64 * 1024;
/** What the journal may hold, and memory beside it, before the oldest are folded as well: 0.1 s to replay. */
const journalBytes = 8 * 1024 * 1024;
const journalRows = 16_384;

interface JournalRow {
  readonly id: number;
  readonly session: SessionState | undefined;
  readonly lastSeq: number;
}

/** A client that has a record in a batch, and its last number once the batch is in the log. */
export interface JournalWriter {
  readonly client: ClientState;
  readonly lastClientSeq: number;
}

/** The last appends of all sessions, in the order in which they came, until they are folded into segments. */
export class Journal {
  readonly #sql: Statements;
  /** Rows that are in the table, the oldest first; those before `#start` are deleted. */
  #rows: JournalRow[] = [];
  #start = 0;
  #nextId = 1;
  #unfoldedBytes = 0;
  readonly #ready = new Set<SessionState>();

  constructor(sql: Statements) {
    this.#sql = sql;
  }

  /** Writes a batch that follows the session's head, and moves the session and the writers there. */
  append(
    session: SessionState,
    pack: RecordPack,
    writers: readonly JournalWriter[],
    atMs: number,
    undo: UndoList,
  ): void {
    const text = formatWriters(writers);
    const checksum = crc32(text, pack.endChecksum);
    const { firstSeq, startChecksum } = pack;
    this.#sql.insertJournal.run(this.#nextId, session.id, firstSeq, startChecksum, atMs, text, checksum, pack.bytes);
    const { head, headChecksum, bytes, lastActivityMs, tailBytes } = session;
    const seqsBefore = writers.map(({ client }) => client.lastClientSeq);
    undo.add(() => {
      Object.assign(session, { head, headChecksum, bytes, lastActivityMs, tailBytes });
      session.tail.pop();
      for (const [i, { client }] of writers.entries()) client.lastClientSeq = seqsBefore[i] ?? 0;
      this.#rows.pop();
      this.#unfoldedBytes -= pack.bytes.length;
    });
    this.#add(this.#nextId, session, pack, writers, atMs);
  }

  #add(id: number, session: SessionState, pack: RecordPack, writers: readonly JournalWriter[], atMs: number): void {
    this.#nextId = id + 1;
    this.#rows.push({ id, session, lastSeq: pack.lastSeq });
    this.#unfoldedBytes += pack.bytes.length;
    session.tail.push(pack);
    session.tailBytes += pack.bytes.length;
    session.bytes += pack.bytes.length - recordOverheadBytes * (pack.lastSeq - pack.firstSeq + 1);
    session.head = pack.lastSeq;
    session.headChecksum = pack.endChecksum;
    session.lastActivityMs = atMs;
    for (const { client, lastClientSeq } of writers) {
      client.lastClientSeq = lastClientSeq;
      session.unfoldedClients.add(client);
    }
    if (session.head - session.foldedHead >= foldRecords || session.tailBytes >= foldBytes) this.#ready.add(session);
  }

  /** Moves a session's journalled records into segments. */
  fold(session: SessionState, undo: UndoList): void {
    const { tail, tailBytes, unfoldedClients, foldedHead } = session;
    const wasReady = this.#ready.delete(session);
    if (tail.length === 0) return;
    for (const segment of joinPacks(tail, segmentBytes)) {
      const { lastSeq, firstSeq, startChecksum, bytes } = segment;
      this.#sql.insertSegment.run(session.id, lastSeq, firstSeq, startChecksum, bytes);
    }
    for (const client of unfoldedClients) {
      this.#sql.foldClient.run(client.lastClientSeq, session.lastActivityMs, client.id);
    }
    const { head, bytes, headChecksum, lastActivityMs, id } = session;
    this.#sql.foldSession.run(head, bytes, headChecksum, lastActivityMs, id);
    this.#unfoldedBytes -= tailBytes;
    Object.assign(session, { tail: [], tailBytes: 0, unfoldedClients: new Set(), foldedHead: head });
    undo.add(() => {
      Object.assign(session, { tail, tailBytes, unfoldedClients, foldedHead });
      this.#unfoldedBytes += tailBytes;
      if (wasReady) this.#ready.add(session);
    });
  }

  /** A deleted session: its rows go with the next that are swept. */
  forget(session: SessionState, undo: UndoList): void {
    const wasReady = this.#ready.delete(session);
    session.gone = true;
    this.#unfoldedBytes -= session.tailBytes;
    undo.add(() => {
      session.gone = false;
      this.#unfoldedBytes += session.tailBytes;
      if (wasReady) this.#ready.add(session);
    });
  }

  /**
   * Folds what is due, spread over the transactions: about twice as many records as were appended, so that it keeps up
   * and no single commit pays for a thousand others.
   */
  foldDue(appendedRecords: number, undo: UndoList): void {
    let budget = 2 * appendedRecords + foldRecords;
    for (const session of this.#ready) {
      if (budget <= 0) break;
      budget -= session.head - session.foldedHead;
      this.fold(session, undo);
    }
    for (let i = this.#start; i < this.#rows.length && budget > 0 && this.#isOverfull(i); i++) {
      const session = this.#rows[i]?.session;
      if (session === undefined || session.gone || session.tail.length === 0) continue;
      budget -= session.head - session.foldedHead;
      this.fold(session, undo);
    }
    this.#sweep(undo);
  }

  foldAll(undo: UndoList): void {
    for (const { session } of this.#rows.slice(this.#start)) {
      if (session !== undefined && !session.gone) this.fold(session, undo);
    }
    this.#sweep(undo);
  }

  #isOverfull(from: number): boolean {
    return this.#unfoldedBytes > journalBytes || this.#rows.length - from > journalRows;
  }

  /** Deletes the oldest rows as far as nobody needs them. */
  #sweep(undo: UndoList): void {
    const start = this.#start;
    let from = 0;
    let to = -1;
    for (let row = this.#rows[this.#start]; row !== undefined && !isNeeded(row); row = this.#rows[++this.#start]) {
      // Between two rows that do not follow each other there may be one of a damaged session: it stays.
      if (row.id !== to + 1) {
        if (to >= from) this.#sql.deleteJournal.run(from, to);
        from = row.id;
      }
      to = row.id;
    }
    if (to >= from) this.#sql.deleteJournal.run(from, to);
    undo.add(() => {
      this.#start = start;
    });
  }

  /** After a commit: memory for rows that are gone. */
  compact(): void {
    if (this.#start < 1024 || this.#start * 2 < this.#rows.length) return;
    this.#rows = this.#rows.slice(this.#start);
    this.#start = 0;
  }

  /**
   * Reads the table when the file was opened, and brings the sessions up to it.
   *
   * @param sessionOf finds a session by its id, undefined where it was deleted
   * @param clientOf finds a session's client by its id, undefined where it was forgotten
   * @returns sessions one of whose rows is damaged. Their rows stay in the file as they are, and out of memory.
   */
  replay(
    sessionOf: (id: number) => SessionState | undefined,
    clientOf: (session: SessionState, id: number) => ClientState | undefined,
  ): ReadonlySet<SessionState> {
    const damaged = new Set<SessionState>();
    for (const row of this.#sql.readJournal.all()) {
      const id = integerOf(row, "id");
      const session = sessionOf(integerOf(row, "session"));
      this.#nextId = id + 1;
      if (session === undefined) {
        this.#rows.push({ id, session, lastSeq: 0 });
      } else if (!damaged.has(session) && !this.#replayRow(id, session, row, clientOf)) {
        damaged.add(session);
      }
    }
    this.#rows = this.#rows.filter(({ session }) => session === undefined || !damaged.has(session));
    for (const session of damaged) this.#ready.delete(session);
    for (const { tailBytes } of damaged) this.#unfoldedBytes -= tailBytes;
    return damaged;
  }

  #replayRow(
    id: number,
    session: SessionState,
    row: SqlRow,
    clientOf: (session: SessionState, id: number) => ClientState | undefined,
  ): boolean {
    const bytes = bytesOf(row, "records");
    const firstSeq = integerOf(row, "first_seq");
    const startChecksum = integerOf(row, "start_checksum");
    const writers = textOf(row, "writers");
    let lastSeq = firstSeq - 1;
    let endChecksum = startChecksum;
    try {
      for (const record of unpackRecords(bytes, firstSeq, startChecksum)) {
        lastSeq = record.seq;
        endChecksum = record.checksum;
      }
    } catch {
      return false;
    }
    if (crc32(writers, endChecksum) !== integerOf(row, "writers_checksum")) return false;
    if (lastSeq <= session.foldedHead) {
      this.#rows.push({ id, session, lastSeq });
      return true;
    }
    if (firstSeq !== session.head + 1 || startChecksum !== session.headChecksum) return false;
    const pack = { firstSeq, lastSeq, startChecksum, endChecksum, bytes };
    const known = parseWriters(writers).flatMap(([clientId, lastClientSeq]) => {
      const client = clientOf(session, clientId);
      return client === undefined ? [] : [{ client, lastClientSeq }];
    });
    this.#add(id, session, pack, known, integerOf(row, "at_ms"));
    return true;
  }
}

function isNeeded({ session, lastSeq }: JournalRow): boolean {
  return session !== undefined && !session.gone && session.foldedHead < lastSeq;
}

/** "7,12 9,4": client 7 is at 12, client 9 at 4. */
function formatWriters(writers: readonly JournalWriter[]): string {
  let text = "";
  for (const { client, lastClientSeq } of writers) text += `${text && " "}${client.id},${lastClientSeq}`;
  return text;
}

function parseWriters(text: string): (readonly [clientId: number, lastClientSeq: number])[] {
  if (text === "") return [];
  return text.split(" ").map((pair) => {
    const [client = "", seq = ""] = pair.split(",");
    return [Number(client), Number(seq)];
  });
}
