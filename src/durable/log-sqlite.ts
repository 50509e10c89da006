import { defaultLimits } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import { type BatchResult, CommitQueue, type Request } from "./commit-queue.ts";
import { loadDefaultDriver } from "./default-driver.ts";
import { createDoorbells } from "./doorbells.ts";
import type { SessionLog } from "./session-log.ts";
import { alreadyUnderWay, beginBackup, DatabaseReader, type SqliteBackup } from "./sqlite-backup.ts";
import { commitTogether } from "./sqlite-commit.ts";
import type { SqlConnection, SqlDriver } from "./sqlite-driver.ts";
import { failureError, failureKind, isDamage } from "./sqlite-errors.ts";
import { deleteSession, dropSnapshot, keepSecret, putSnapshot, renewEpoch, trim } from "./sqlite-maintain.ts";
import { makeDataFolder, openDatabase, openError } from "./sqlite-open.ts";
import { latestSoundSnapshot } from "./sqlite-read.ts";
import { keepRevocation, readRevocations } from "./sqlite-revocations.ts";
import { logStateOf } from "./sqlite-session.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { OpenBackup } from "./store-backup.ts";
import type { UndoList } from "./undo-list.ts";

export interface SqliteLogOptions {
  /** The database file. Its folder is made where it is missing; it must be on a local disk. */
  readonly path: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Default: the runtime's own. */
  readonly driver?: SqlDriver;
  /** How long a client's last number is kept after its last claim or append. */
  readonly clientTtlMs?: number;
  /** How long to wait for another process, ending just now, to let go of the file. */
  readonly lockWaitMs?: number;
}

export interface SqliteLog extends SessionLog {
  readonly openBackup: OpenBackup;
}

interface Handle {
  readonly driver: SqlDriver;
  readonly db: SqlConnection;
  readonly store: SqliteStore;
}

/**
 * The log in one SQLite file, for one process. Acked means synced: each commit is, and one commit carries the appends
 * of all sessions that came in the same turn of the event loop. Reads see what is committed and nothing else.
 *
 * @throws BatonError `LOG_UNAVAILABLE` that names the file or folder and says what to do
 */
export async function openSqliteLog(options: SqliteLogOptions): Promise<SqliteLog> {
  const driver = options.driver ?? (await loadDefaultDriver());
  makeDataFolder(options.path);
  return createLog(options, driver);
}

function createLog(options: SqliteLogOptions, driver: SqlDriver): SqliteLog {
  const doorbells = createDoorbells();
  const damaged = new Set<number>();
  const storeOptions = {
    now: options.now,
    clientTtlMs: options.clientTtlMs ?? defaultLimits.clientTtlMs,
    damaged,
    isDamage: (error: unknown) => isDamage(driver, error),
  };
  let closed = false;

  const openHandle = (waitMs: number): Handle => {
    const db = openDatabase(driver, options.path, waitMs);
    try {
      return { driver, db, store: new SqliteStore(db, storeOptions) };
    } catch (error) {
      db.close();
      throw openError(driver, options.path, error);
    }
  };
  let handle: Handle | undefined = openHandle(options.lockWaitMs ?? 1_000);

  /** The connection, opened anew where the last one could not be trusted any more. */
  const currentHandle = (): Handle => {
    if (closed) throw new BatonError("LOG_UNAVAILABLE", "the log is closed");
    handle ??= openHandle(0);
    return handle;
  };

  const reader = new DatabaseReader(options.path);
  let backup: SqliteBackup | undefined;

  const dropHandle = () => {
    const dropped = handle;
    handle = undefined;
    backup?.abandon();
    try {
      dropped?.db.close();
    } catch {
      // Nothing more can be done with it; the next opening tells whether the file is usable.
    }
  };

  const commit = (batch: readonly Request[], attemptsLeft: number): BatchResult => {
    let current: Handle;
    try {
      current = currentHandle();
    } catch (error) {
      for (const request of batch) request.failed(error);
      return "done";
    }
    const result = commitTogether(current, batch, true);
    if (result.kind === "committed") return "done";
    if (!result.trusted) dropHandle();
    if (result.kind === "busy" && attemptsLeft > 0) return "busy";
    if ((result.kind === "full" || result.kind === "request") && batch.length > 1) {
      // One by one: only those whose own part fails are refused. Nothing is folded, to leave them what space there is.
      for (const request of batch) commitAlone(request);
      return "done";
    }
    const error = failureError(result.kind, result.error);
    for (const request of batch) request.failed(error);
    return "done";
  };

  const commitAlone = (request: Request) => {
    try {
      const result = commitTogether(currentHandle(), [request], false);
      if (result.kind === "committed") return;
      if (!result.trusted) dropHandle();
      request.failed(failureError(result.kind, result.error));
    } catch (error) {
      request.failed(error);
    }
  };

  const queue = new CommitQueue(commit);

  /** Joins the next transaction; resolves once it is durable. */
  const write = <T>(apply: (store: SqliteStore, undo: UndoList) => T, weight = 1): Promise<T> =>
    new Promise((resolve, reject) => {
      if (closed) {
        reject(new BatonError("LOG_UNAVAILABLE", "the log is closed"));
        return;
      }
      let result: { readonly value: T } | undefined;
      queue.push({
        weight,
        apply: (undo) => {
          result = { value: apply(currentHandle().store, undo) };
        },
        committed: () => void (result && resolve(result.value)),
        failed: reject,
      });
    });

  /** Reads at once: between transactions memory and file are what is committed. */
  const read = <T>(query: (store: SqliteStore, db: SqlConnection) => T): T => {
    const { store, db } = currentHandle();
    try {
      return query(store, db);
    } catch (error) {
      if (error instanceof BatonError) throw error;
      const kind = failureKind(driver.resultCode(error));
      if (kind === "handle") dropHandle();
      throw failureError(kind, error);
    }
  };

  return {
    describe: async (sessionId) =>
      read((store) => {
        const session = store.session(sessionId);
        return session && logStateOf(session);
      }),

    claim: (sessionId, client, proposedEpoch) =>
      write((store, undo) => store.claim(sessionId, client, proposedEpoch, undo)),

    append: async (sessionId, batch) => {
      const outcome = await write((store, undo) => store.append(sessionId, batch, undo), batch.records.length);
      if (outcome.kind === "appended") doorbells.ring(sessionId, batch.expectedHead + batch.records.length);
      return outcome;
    },

    read: async (sessionId, from, to, maxBytes, epoch) =>
      read((store) => {
        const session = store.soundSession(sessionId);
        if (epoch !== undefined && session?.epoch !== epoch) throw new BatonError("EPOCH_CHANGED");
        if (session === undefined || from > session.head) return [];
        if (from < session.first) throw new BatonError("SEQ_OUT_OF_RANGE");
        return store.read(session, from, to, maxBytes);
      }),

    putSnapshot: (sessionId, epoch, snapshot) => write((store) => putSnapshot(store, sessionId, epoch, snapshot)),

    latestSnapshot: async (sessionId, atMost = Number.POSITIVE_INFINITY) =>
      read((store) => {
        const session = store.soundSession(sessionId);
        return session && store.reading(session, () => latestSoundSnapshot(store.sql, session, atMost));
      }),

    dropSnapshot: (sessionId, epoch, seq) => write((store) => dropSnapshot(store, sessionId, epoch, seq)),

    trim: (sessionId, epoch, throughSeq) => write((store, undo) => trim(store, sessionId, epoch, throughSeq, undo)),

    renewEpoch: async (sessionId, expectedEpoch, newEpoch) => {
      const epoch = await write((store, undo) => renewEpoch(store, sessionId, expectedEpoch, newEpoch, undo));
      doorbells.ring(sessionId);
      return epoch;
    },

    watch: doorbells.watch,

    delete: async (sessionId, untouchedSinceMs) => {
      const ended = await write((store, undo) => deleteSession(store, sessionId, untouchedSinceMs, undo));
      if (ended !== "") doorbells.ring(sessionId);
      return ended;
    },

    list: async (prefix, after, limit) => read((store) => store.list(prefix, after, limit)),

    secret: (name, proposed) => write((store) => keepSecret(store, name, proposed)),

    revoke: (revocation) => write(({ sql }) => keepRevocation(sql, revocation)),

    revocations: async (after, limit) => read(({ sql }) => readRevocations(sql, after, limit)),

    openBackup: () => {
      if (backup?.isUnderWay === true) throw alreadyUnderWay();
      const begun = read((_store, db) => beginBackup(db, options.path, reader));
      backup = begun;
      return begun;
    },

    close: async () => {
      if (closed) return;
      // Everything in segments, so that the next opening has nothing to replay. If it fails, it replays.
      const folded = write((store, undo) => store.journal.foldAll(undo)).catch(() => {});
      await folded;
      await queue.drained();
      closed = true;
      dropHandle();
      reader.close();
      doorbells.clear();
    },
  };
}
