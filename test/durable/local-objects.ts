import { createObjectsLog, type DirectoryRpc, type SessionRpc } from "../../src/durable/log-objects.ts";
import { answer, ask } from "../../src/durable/object-answer.ts";
import { DirectoryStore } from "../../src/durable/object-directory.ts";
import { createObjectLog, type ObjectLog, type ObjectLogOptions } from "../../src/durable/object-log.ts";
import type { ObjectStorage } from "../../src/durable/object-storage.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { integerOf, type SqlConnection, type SqlDriver, type SqlRow } from "../../src/durable/sqlite-driver.ts";
import { primary, primaryCode } from "../../src/durable/sqlite-errors.ts";

const codeNames = new Map<number | undefined, string>([
  [primary.full, "SQLITE_FULL"],
  [primary.corrupt, "SQLITE_CORRUPT"],
]);

export interface LocalStorage extends ObjectStorage {
  readonly db: SqlConnection;
}

/** An object's storage on the runtime's own SQLite: what it gives, takes and throws is as the platform does it. */
export function openStorage(driver: SqlDriver): LocalStorage {
  const db = driver.open(":memory:");
  const exec = (query: string, ...values: (string | number | Uint8Array | null)[]): SqlRow[] => {
    try {
      return db
        .prepare(query)
        .all(...values)
        .map(withBuffers);
    } catch (error) {
      const name = codeNames.get(primaryCode(driver.resultCode(error))) ?? "SQLITE_ERROR";
      throw new Error(`the statement failed: ${name}`, { cause: error });
    }
  };
  const pragma = (name: string) => integerOf(db.prepare(`PRAGMA ${name}`).get() ?? {}, name);
  return {
    db,
    sql: {
      exec,
      get databaseSize() {
        return pragma("page_count") * pragma("page_size");
      },
    },
    transactionSync(work) {
      db.exec("BEGIN");
      try {
        const result = work();
        db.exec("COMMIT");
        return result;
      } catch (error) {
        db.exec("ROLLBACK");
        throw error;
      }
    },
    async deleteAll() {
      const tables = db
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .all();
      for (const { name } of tables) db.exec(`DROP TABLE ${String(name)}`);
    },
  };
}

/** Bytes as an object's storage gives them. */
function withBuffers(row: SqlRow): SqlRow {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value instanceof Uint8Array ? value.slice().buffer : value]),
  );
}

type LogSettings = Partial<Pick<ObjectLogOptions, "now" | "clientTtlMs" | "maxBytes">>;

/** Sessions' objects and their directory in this process: what they store, and the logs that live on it until `evict`. */
export class LocalObjects {
  readonly log: SessionLog;
  /** In place of which the directory answers, where a test says so. */
  directoryFault: Error | undefined;
  readonly #driver: SqlDriver;
  readonly #settings: LogSettings;
  readonly #storages = new Map<string, LocalStorage>();
  readonly #logs = new Map<string, ObjectLog>();
  #directory: DirectoryStore;
  readonly #directoryStorage: LocalStorage;

  constructor(driver: SqlDriver, settings: LogSettings = {}) {
    this.#driver = driver;
    this.#settings = settings;
    this.#directoryStorage = openStorage(driver);
    this.#directory = new DirectoryStore(this.#directoryStorage);
    this.log = this.openLog();
  }

  openLog(): SessionLog {
    return createObjectsLog({ session: (id) => this.#sessionRpc(id), directory: () => this.#directoryRpc() });
  }

  storage(sessionId: string): LocalStorage {
    const storage = this.#storages.get(sessionId) ?? openStorage(this.#driver);
    this.#storages.set(sessionId, storage);
    return storage;
  }

  /** As the object itself has it. */
  object(sessionId: string): ObjectLog {
    const directory = this.#directoryRpc();
    const log =
      this.#logs.get(sessionId) ??
      createObjectLog({
        now: Date.now,
        ...this.#settings,
        sessionId,
        storage: this.storage(sessionId),
        directory: {
          add: (id) => ask(() => directory.add(id)),
          remove: (id) => ask(() => directory.remove(id)),
        },
        shared: this.log,
      });
    this.#logs.set(sessionId, log);
    return log;
  }

  /** Only what is stored stays. */
  evict(): void {
    this.#logs.clear();
    this.#directory = new DirectoryStore(this.#directoryStorage);
  }

  /** Each session's object is asked for something, by an instance that is new. */
  async wakeAll(): Promise<void> {
    this.evict();
    for (const sessionId of this.#storages.keys()) {
      await this.log.describe(sessionId);
      await this.object(sessionId).settled();
    }
  }

  /** As the directory has them. */
  directoryNames(): readonly string[] {
    return this.#directory.names("", "", Number.MAX_SAFE_INTEGER);
  }

  close(): void {
    for (const { db } of [...this.#storages.values(), this.#directoryStorage]) db.close();
  }

  #sessionRpc(sessionId: string): SessionRpc {
    const log = this.object(sessionId);
    const told = async <T>(work: () => Promise<T>) => {
      const answered = await answer(work);
      await log.settled();
      return answered;
    };
    return {
      describe: (...args) => answer(() => log.describe(...args)),
      claim: (...args) => told(() => log.claim(...args)),
      append: (...args) => answer(() => log.append(...args)),
      read: (...args) => answer(() => log.read(...args)),
      putSnapshot: (...args) => answer(() => log.putSnapshot(...args)),
      latestSnapshot: (...args) => answer(() => log.latestSnapshot(...args)),
      dropSnapshot: (...args) => answer(() => log.dropSnapshot(...args)),
      trim: (...args) => answer(() => log.trim(...args)),
      renewEpoch: (...args) => answer(() => log.renewEpoch(...args)),
      deleteSession: (...args) => told(() => log.delete(...args)),
    };
  }

  #directoryRpc(): DirectoryRpc {
    const reach = async <T>(work: (directory: DirectoryStore) => T) => {
      if (this.directoryFault !== undefined) throw this.directoryFault;
      return await answer(() => work(this.#directory));
    };
    return {
      add: (id) => reach((directory) => directory.add(id)),
      remove: (id) => reach((directory) => directory.remove(id)),
      names: (...args) => reach((directory) => directory.names(...args)),
      secret: (...args) => reach((directory) => directory.secret(...args)),
      revoke: (revocation) => reach((directory) => directory.revoke(revocation)),
      revocations: (...args) => reach((directory) => directory.revocations(...args)),
    };
  }
}
