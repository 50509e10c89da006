import { getLogger } from "@logtape/logtape";
import { BatonError } from "../session/reasons.ts";
import { assertBatch, conflictBytes, takeBytes } from "./append-rules.ts";
import { appendRecords } from "./object-append.ts";
import { ObjectClients } from "./object-clients.ts";
import { storageError } from "./object-errors.ts";
import { dropSnapshot, putSnapshot, renewEpoch, trim } from "./object-maintain.ts";
import { readRecords } from "./object-read.ts";
import { createSession } from "./object-schema.ts";
import { latestSoundSnapshot } from "./object-snapshots.ts";
import { loadSession, logStateOf, newSession, type ObjectSession } from "./object-state.ts";
import type { ObjectStorage } from "./object-storage.ts";
import type {
  AppendBatch,
  AppendOutcome,
  Claim,
  ClientKey,
  LogRecord,
  LogState,
  StoredSnapshot,
} from "./session-log.ts";

const logger = getLogger(["baton", "log"]);

/** How often a session's clients are looked through for those to forget. */
const forgetEveryMs = 60_000;
/** At this share of what an object may hold it is said, once for each instance. */
const warnAt = 0.8;
/** Kept free of appends, so that a full session can be folded, trimmed and deleted. */
const spareBytes = 64 * 1024 * 1024;

export interface StoreOptions {
  readonly sessionId: string;
  readonly storage: ObjectStorage;
  /** ms since the Unix epoch. */
  readonly now: () => number;
  readonly clientTtlMs: number;
  /** What the object's storage may take. */
  readonly maxBytes: number;
}

/**
 * The one session of an object, and what memory knows of it. Everything here is synchronous: between the look at the head
 * and the write nothing else runs, and the next caller finds what was written. What is told to anybody waits, by the
 * runtime, until it is durable; where that fails, the object ends and nobody heard.
 */
export class ObjectStore {
  readonly #options: StoreOptions;
  readonly #clients: ObjectClients;
  /** "unknown": to be read, since memory is new, or may not be what is stored. */
  #session: ObjectSession | undefined | "unknown" = "unknown";
  /** Of this instance: a session that begins anew gives none of them again. */
  #lastGeneration = 0;
  #forgottenAtMs = 0;
  #hasWarned = false;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#clients = new ObjectClients(options.storage.sql);
  }

  /** Undefined: the object holds no session. */
  get session(): ObjectSession | undefined {
    return this.#run(() => this.#load());
  }

  describe(): LogState | undefined {
    const { session } = this;
    return session && logStateOf(session);
  }

  claim(key: ClientKey, proposedEpoch: string): Claim {
    return this.#run(() => {
      const { storage, sessionId, now, clientTtlMs } = this.#options;
      const atMs = now();
      const found = this.#sound();
      const session = found ?? newSession(sessionId, proposedEpoch);
      // Time, so that a session that begins anew in another instance goes on from there.
      const generation = Math.max(atMs, session.lastGeneration + 1, this.#lastGeneration + 1);
      let lastClientSeq = 0;
      if (found === undefined) {
        storage.transactionSync(() => {
          createSession(storage.sql, sessionId, proposedEpoch);
          this.#clients.claim(key, undefined, generation, atMs);
        });
      } else {
        const client = this.#clients.find(found, key);
        lastClientSeq = client?.lastClientSeq ?? 0;
        if (client === undefined && Math.abs(atMs - this.#forgottenAtMs) >= forgetEveryMs) {
          this.#clients.forget(found, atMs - clientTtlMs);
          this.#forgottenAtMs = atMs;
        }
        this.#clients.claim(key, client, generation, atMs);
      }
      this.#lastGeneration = generation;
      this.#session = { ...session, lastGeneration: generation, lastActivityMs: atMs };
      return { epoch: session.epoch, generation, head: session.head, lastClientSeq };
    });
  }

  append(batch: AppendBatch): AppendOutcome {
    assertBatch(batch);
    return this.#run(() => {
      const { storage, now } = this.#options;
      const session = this.#sound();
      if (session?.epoch !== batch.epoch) return { kind: "epoch", epoch: session?.epoch ?? "" };
      if (batch.expectedHead !== session.head) {
        const known = batch.expectedHead + 1 >= session.first;
        const from = known ? batch.expectedHead + 1 : session.head + 1;
        return { kind: "conflict", records: this.#records(session, from, session.head, conflictBytes) };
      }
      const carried = new Map(session.carried);
      const superseded: ClientKey[] = [];
      for (const { userId, clientId, generation, lastClientSeq } of batch.writers) {
        const client = this.#clients.find(session, { userId, clientId });
        if (client?.generation === generation) carried.set(client.id, lastClientSeq);
        else superseded.push({ userId, clientId });
      }
      if (superseded.length > 0) return { kind: "superseded", clients: superseded };
      this.#assertSpace(batch.records);
      this.#session = appendRecords(storage, this.#clients, session, batch.records, carried, now());
      return { kind: "appended" };
    });
  }

  read(from: number, to: number, maxBytes: number, epoch?: string): LogRecord[] {
    return this.#run(() => {
      const session = this.#sound();
      if (epoch !== undefined && session?.epoch !== epoch) throw new BatonError("EPOCH_CHANGED");
      if (session === undefined || from > session.head) return [];
      if (from < session.first) throw new BatonError("SEQ_OUT_OF_RANGE");
      return this.#records(session, from, to, maxBytes);
    });
  }

  #records(session: ObjectSession, from: number, to: number, maxBytes: number): LogRecord[] {
    const records = takeBytes(readRecords(this.#options.storage.sql, session, from, to), maxBytes);
    return [...records].map(({ seq, frame, payloadHash }) => ({ seq, frame, payloadHash }));
  }

  latestSnapshot(atMost: number): StoredSnapshot | undefined {
    return this.#run(() => {
      const session = this.#sound();
      return session && latestSoundSnapshot(this.#options.storage.sql, session, atMost);
    });
  }

  putSnapshot(epoch: string, snapshot: StoredSnapshot): void {
    this.#maintain(epoch, (storage, session) => {
      putSnapshot(storage, session, snapshot);
      return session;
    });
  }

  dropSnapshot(epoch: string, seq: number): void {
    this.#maintain(epoch, (storage, session) => {
      dropSnapshot(storage, session, seq);
      return session;
    });
  }

  trim(epoch: string, throughSeq: number): void {
    this.#maintain(epoch, (storage, session) => trim(storage, session, throughSeq));
  }

  /** Tells the epoch that then holds; empty: there is no session. */
  renewEpoch(expectedEpoch: string, newEpoch: string): string {
    this.#maintain(expectedEpoch, (storage, session) => renewEpoch(storage, session, newEpoch));
    return this.session?.epoch ?? "";
  }

  /** Does nothing where the session's epoch is another. */
  #maintain(epoch: string, change: (storage: ObjectStorage, session: ObjectSession) => ObjectSession): void {
    this.#run(() => {
      const session = this.#sound();
      if (session?.epoch === epoch) this.#session = change(this.#options.storage, session);
    });
  }

  /** Tells the epoch that ended; empty: nothing was deleted. `durable` resolves once it is. */
  delete(untouchedSinceMs: number | undefined): { readonly epoch: string; readonly durable: Promise<void> } {
    return this.#run(() => {
      const session = this.#load();
      const stays = session === undefined || isToStay(session, untouchedSinceMs);
      if (stays) return { epoch: "", durable: Promise.resolve() };
      const durable = this.#options.storage.deleteAll();
      this.#session = undefined;
      this.#clients.clear();
      return { epoch: session.epoch, durable };
    });
  }

  /** The directory has the session's name, as far as it is still this one. */
  markListed(epoch: string): void {
    this.#maintain(epoch, ({ sql }, session) => {
      sql.exec("UPDATE session SET listed = 1");
      return { ...session, isListed: true };
    });
  }

  #load(): ObjectSession | undefined {
    if (this.#session !== "unknown") return this.#session;
    const session = loadSession(this.#options.storage.sql);
    if (session !== undefined && session.name !== this.#options.sessionId) {
      throw new BatonError("INTERNAL", "an object is one session; it was asked for another");
    }
    this.#session = session;
    return session;
  }

  /** @throws BatonError `LOG_DAMAGED` where the session is set aside */
  #sound(): ObjectSession | undefined {
    const session = this.#load();
    if (session?.isDamaged === true) throw new BatonError("LOG_DAMAGED");
    return session;
  }

  #assertSpace(records: readonly LogRecord[]): void {
    const { storage, maxBytes, sessionId } = this.#options;
    const used = storage.sql.databaseSize;
    if (used >= warnAt * maxBytes && !this.#hasWarned) {
      this.#hasWarned = true;
      logger.warn("a session's object is nearly full", { session: sessionId, bytes: used, maxBytes });
    }
    const wanted = records.reduce((sum, { frame }) => sum + frame.length, 0);
    if (used + wanted > maxBytes - Math.min(spareBytes, maxBytes / 10)) {
      throw new BatonError("LOG_FULL", `the session's object may hold ${maxBytes} bytes; it is full`);
    }
  }

  /** What fails leaves nothing in memory that may not be stored. */
  #run<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const failure = storageError(error);
      const session = this.#session;
      if (failure.reason === "LOG_DAMAGED" && session !== "unknown" && session !== undefined) {
        this.#session = { ...session, isDamaged: true };
      } else if (failure !== error) {
        this.#session = "unknown";
        this.#clients.clear();
      }
      throw failure;
    }
  }
}

/** By age alone none goes that was touched since, or that an operator has not looked at. */
function isToStay({ lastActivityMs, isDamaged }: ObjectSession, untouchedSinceMs: number | undefined): boolean {
  return untouchedSinceMs !== undefined && (lastActivityMs >= untouchedSinceMs || isDamaged);
}
