import { assertNever } from "../session/reasons.ts";
import type { Revocation } from "../session/revocation.ts";
import { storageError } from "./object-errors.ts";
import { blobOf, firstRow, type ObjectStorage } from "./object-storage.ts";
import type { StoredRevocation } from "./session-log.ts";
import { integerOf, type SqlRow, textOf } from "./sqlite-driver.ts";

/**
 * `sessions` has names and nothing that changes, so that a session costs a row when it begins and one when it ends.
 * `place` is never given twice: whoever has read up to one finds what is new behind it.
 */
const tables = [
  "CREATE TABLE IF NOT EXISTS sessions(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
  "CREATE TABLE IF NOT EXISTS secrets(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID",
  `CREATE TABLE IF NOT EXISTS revocations(
    place INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, issued_before_ms INTEGER NOT NULL,
    UNIQUE(kind, name)) STRICT`,
];

/** What all sessions share, in one object: their names, secrets, and what was revoked. All of it is synchronous. */
export class DirectoryStore {
  readonly #storage: ObjectStorage;

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
    this.#run(() => storage.transactionSync(() => tables.forEach((table) => void this.#exec(table))));
  }

  add(sessionId: string): void {
    this.#run(() => this.#exec("INSERT INTO sessions VALUES(?) ON CONFLICT DO NOTHING", sessionId));
  }

  remove(sessionId: string): void {
    this.#run(() => this.#exec("DELETE FROM sessions WHERE name = ?", sessionId));
  }

  names(prefix: string, after: string, limit: number): string[] {
    return this.#run(() =>
      this.#exec(
        "SELECT name FROM sessions WHERE name >= max(?1, ?2) AND name <> ?2 AND name < ?1 || char(0x10ffff) " +
          "ORDER BY name LIMIT ?3",
        prefix,
        after,
        limit,
      ).map((row) => textOf(row, "name")),
    );
  }

  /** The proposed one where none was kept yet. */
  secret(name: string, proposed: Uint8Array): Uint8Array {
    return this.#run(() => {
      const row = firstRow(this.#storage.sql, "SELECT value FROM secrets WHERE name = ?", name);
      if (row !== undefined) return blobOf(row, "value");
      this.#exec("INSERT INTO secrets VALUES(?, ?)", name, proposed);
      return proposed;
    });
  }

  revoke(revocation: Revocation): void {
    this.#run(() => {
      switch (revocation.kind) {
        case "token":
          return this.#keepRevocation("token", revocation.tokenId, 0);
        case "user":
          return this.#keepRevocation("user", revocation.userId, revocation.issuedBeforeMs);
        default:
          return assertNever(revocation);
      }
    });
  }

  #keepRevocation(kind: Revocation["kind"], name: string, issuedBeforeMs: number): void {
    this.#exec(
      "INSERT OR REPLACE INTO revocations SELECT NULL, ?1, ?2, max(?3, coalesce(" +
        "(SELECT issued_before_ms FROM revocations WHERE kind = ?1 AND name = ?2), 0))",
      kind,
      name,
      issuedBeforeMs,
    );
  }

  revocations(after: number, limit: number): StoredRevocation[] {
    return this.#run(() =>
      this.#exec("SELECT * FROM revocations WHERE place > ? ORDER BY place LIMIT ?", after, limit).map((row) => ({
        place: integerOf(row, "place"),
        revocation: revocationOf(row),
      })),
    );
  }

  #exec(query: string, ...values: (string | number | Uint8Array)[]): SqlRow[] {
    return [...this.#storage.sql.exec(query, ...values)];
  }

  #run<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw storageError(error);
    }
  }
}

function revocationOf(row: SqlRow): Revocation {
  const name = textOf(row, "name");
  if (textOf(row, "kind") === "token") return { kind: "token", tokenId: name };
  return { kind: "user", userId: name, issuedBeforeMs: integerOf(row, "issued_before_ms") };
}
