import { BatonError } from "../session/reasons.ts";
import { assertBatch, conflictBytes, takeBytes } from "./append-rules.ts";
import { chainStart } from "./chain.ts";
import { clientKeyText } from "./client-key.ts";
import { packRecords } from "./packed-records.ts";
import type { AppendBatch, AppendOutcome, Claim, ClientKey, LogRecord, SessionListing } from "./session-log.ts";
import { integerOf, type SqlConnection, type SqlRow, textOf } from "./sqlite-driver.ts";
import { Journal, type JournalWriter } from "./sqlite-journal.ts";
import { assertHeadSegment, readRecords } from "./sqlite-read.ts";
import { type ClientState, logStateOf, newSession, type SessionState, sessionOfRow } from "./sqlite-session.ts";
import { prepareStatements, type Statements } from "./sqlite-statements.ts";
import type { UndoList } from "./undo-list.ts";

/** Sessions kept in memory beyond those with journalled records; the others are read from their row when needed. */
const loadedSessions = 4_096;
/** How often a session's clients are looked through for those to forget. */
const forgetEveryMs = 60_000;

export interface StoreOptions {
  readonly now: () => number;
  readonly clientTtlMs: number;
  /** Ids of sessions that were found damaged; outlives the store when the file is opened anew. */
  readonly damaged: Set<number>;
  readonly isDamage: (error: unknown) => boolean;
}

/**
 * One open database and what memory knows of it. Methods that take an `UndoList` write: they run inside a transaction
 * of the caller, who runs the list when it fails.
 */
export class SqliteStore {
  readonly sql: Statements;
  readonly journal: Journal;
  readonly #options: StoreOptions;
  readonly #sessions = new Map<string, SessionState>();

  constructor(db: SqlConnection, options: StoreOptions) {
    this.sql = prepareStatements(db);
    this.journal = new Journal(this.sql);
    this.#options = options;
    const byId = new Map<number, SessionState>();
    const damaged = this.journal.replay(
      (id) => {
        const session = byId.get(id) ?? this.#load(this.sql.sessionById.get(id));
        if (session !== undefined) byId.set(id, session);
        return session;
      },
      (session, id) => this.#clientById(session, id),
    );
    for (const session of damaged) {
      options.damaged.add(session.id);
      this.#sessions.delete(session.name);
    }
  }

  session(name: string): SessionState | undefined {
    return this.#sessions.get(name) ?? this.#load(this.sql.sessionByName.get(name));
  }

  #load(row: SqlRow | undefined): SessionState | undefined {
    if (row === undefined) return undefined;
    const session = sessionOfRow(row);
    try {
      this.reading(session, () => assertHeadSegment(this.sql, session));
    } catch (error) {
      if (!this.#options.damaged.has(session.id)) throw error;
    }
    this.#sessions.set(session.name, session);
    return session;
  }

  /** @throws BatonError `LOG_DAMAGED` for a session that is set aside */
  soundSession(name: string): SessionState | undefined {
    const session = this.session(name);
    if (session !== undefined && this.#options.damaged.has(session.id)) throw new BatonError("LOG_DAMAGED");
    return session;
  }

  #client(session: SessionState, key: ClientKey): ClientState | undefined {
    const text = clientKeyText(key);
    const known = session.clients.get(text);
    if (known !== undefined) return known;
    const row = this.sql.clientByKey.get(session.id, key.userId, key.clientId);
    if (row === undefined) return undefined;
    return this.#addClient(session, text, integerOf(row, "id"), row);
  }

  /** All whose numbers are newer than the table are in memory after this, under their names. */
  #clientById(session: SessionState, id: number): ClientState | undefined {
    const row = this.sql.clientById.get(id);
    if (row === undefined) return undefined;
    const text = clientKeyText({ userId: textOf(row, "user_id"), clientId: textOf(row, "client_id") });
    return session.clients.get(text) ?? this.#addClient(session, text, id, row);
  }

  #addClient(session: SessionState, text: string, id: number, row: SqlRow): ClientState {
    const client = {
      id,
      generation: integerOf(row, "generation"),
      lastClientSeq: integerOf(row, "last_client_seq"),
    };
    session.clients.set(text, client);
    return client;
  }

  claim(name: string, key: ClientKey, proposedEpoch: string, undo: UndoList): Claim {
    const atMs = this.#options.now();
    const session = this.soundSession(name) ?? this.#create(name, proposedEpoch, atMs, undo);
    const generation = integerOf(this.sql.nextGeneration.get() ?? {}, "value");
    const client = this.#client(session, key);
    if (client === undefined) {
      this.#forgetClients(session, atMs, undo);
      const row = this.sql.insertClient.get(session.id, key.userId, key.clientId, generation, atMs);
      const text = clientKeyText(key);
      session.clients.set(text, { id: integerOf(row ?? {}, "id"), generation, lastClientSeq: 0 });
      undo.add(() => void session.clients.delete(text));
    } else {
      this.sql.claimClient.run(generation, atMs, client.id);
      const before = client.generation;
      client.generation = generation;
      undo.add(() => Object.assign(client, { generation: before }));
    }
    this.sql.touchSession.run(atMs, session.id);
    const { lastActivityMs } = session;
    session.lastActivityMs = atMs;
    undo.add(() => Object.assign(session, { lastActivityMs }));
    return { epoch: session.epoch, generation, head: session.head, lastClientSeq: client?.lastClientSeq ?? 0 };
  }

  #create(name: string, epoch: string, atMs: number, undo: UndoList): SessionState {
    const row = this.sql.insertSession.get(name, epoch, chainStart, atMs);
    const session = newSession(integerOf(row ?? {}, "id"), name, epoch);
    this.#sessions.set(name, session);
    undo.add(() => void this.#sessions.delete(name));
    return session;
  }

  /** So that a session that lives for long does not gather everybody who ever came by. */
  #forgetClients(session: SessionState, atMs: number, undo: UndoList): void {
    if (Math.abs(atMs - session.clientsForgottenAtMs) < forgetEveryMs) return;
    this.journal.fold(session, undo);
    this.sql.forgetClients.run(session.id, atMs - this.#options.clientTtlMs);
    const { clients, clientsForgottenAtMs } = session;
    Object.assign(session, { clients: new Map(), clientsForgottenAtMs: atMs });
    undo.add(() => Object.assign(session, { clients, clientsForgottenAtMs }));
  }

  append(name: string, batch: AppendBatch, undo: UndoList): AppendOutcome {
    assertBatch(batch);
    const session = this.soundSession(name);
    if (session?.epoch !== batch.epoch) return { kind: "epoch", epoch: session?.epoch ?? "" };
    if (batch.expectedHead !== session.head) {
      const known = batch.expectedHead + 1 >= session.first;
      const from = known ? batch.expectedHead + 1 : session.head + 1;
      return { kind: "conflict", records: this.read(session, from, session.head, conflictBytes) };
    }
    const writers: JournalWriter[] = [];
    const superseded: ClientKey[] = [];
    for (const { userId, clientId, generation, lastClientSeq } of batch.writers) {
      const client = this.#client(session, { userId, clientId });
      if (client?.generation === generation) writers.push({ client, lastClientSeq });
      else superseded.push({ userId, clientId });
    }
    if (superseded.length > 0) return { kind: "superseded", clients: superseded };
    const pack = packRecords(batch.records, session.headChecksum);
    this.journal.append(session, pack, writers, this.#options.now(), undo);
    return { kind: "appended" };
  }

  /**
   * From a session whose `from` is kept or beyond the head.
   *
   * @throws BatonError `LOG_DAMAGED`, and the session is set aside
   */
  read(session: SessionState, from: number, to: number, maxBytes: number): LogRecord[] {
    return this.reading(session, () => {
      const records: LogRecord[] = [];
      for (const { seq, frame, payloadHash } of takeBytes(readRecords(this.sql, session, from, to), maxBytes)) {
        records.push({ seq, frame, payloadHash });
      }
      return records;
    });
  }

  /** Runs a query of one session's rows; if what it finds is damaged, the session is set aside. */
  reading<T>(session: SessionState, query: () => T): T {
    try {
      return query();
    } catch (error) {
      if (!this.#options.isDamage(error)) throw error;
      this.#options.damaged.add(session.id);
      throw new BatonError("LOG_DAMAGED", undefined, { cause: error });
    }
  }

  isDamaged(session: SessionState): boolean {
    return this.#options.damaged.has(session.id);
  }

  list(prefix: string, after: string, limit: number): SessionListing[] {
    return this.sql.listSessions.all(prefix, after, limit).map((row) => {
      const session = sessionOfRow(row);
      return { sessionId: session.name, ...logStateOf(this.#sessions.get(session.name) ?? session) };
    });
  }

  /** Takes a session out of memory: deleted, or to be read anew. */
  unload(session: SessionState, undo: UndoList): void {
    this.#sessions.delete(session.name);
    undo.add(() => void this.#sessions.set(session.name, session));
  }

  /** After a commit: memory for what need not be there. */
  compact(): void {
    this.journal.compact();
    if (this.#sessions.size <= 2 * loadedSessions) return;
    for (const [name, session] of this.#sessions) {
      if (this.#sessions.size <= loadedSessions) break;
      if (session.tail.length === 0) this.#sessions.delete(name);
    }
  }
}
