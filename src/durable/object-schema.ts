import { BatonError } from "../session/reasons.ts";
import { firstRow, type ObjectSql } from "./object-storage.ts";
import { integerOf, type SqlRow } from "./sqlite-driver.ts";

/** Of the tables. A change that an older relay cannot read, or must not, raises it. */
const format = 1;

/**
 * The tables of an object that is one session. Each row that is written costs money, an index entry as much as a row, and
 * a deletion too. So an append is one row: the last row of `records` grows, up to `rowBytes`, and has beside its records
 * all else that an append changes. A table that is read by anything but its INTEGER PRIMARY KEY is small enough to be
 * looked through.
 *
 * `records`: `start_bytes` are the bytes of all frames ever before the row, whether they are kept or not, and `writers`
 * the last numbers of clients that their own rows do not have yet.
 * `clients`: `id` is the first claim that the client made, which no other ever has.
 * `snapshots`: one that does not fit into a row is several, numbered from 0.
 */
const tables = [
  `CREATE TABLE session(
    name TEXT NOT NULL, format INTEGER NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL,
    first_bytes INTEGER NOT NULL, listed INTEGER NOT NULL) STRICT`,
  `CREATE TABLE records(
    first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, start_checksum INTEGER NOT NULL,
    start_bytes INTEGER NOT NULL, at_ms INTEGER NOT NULL, writers TEXT NOT NULL, writers_checksum INTEGER NOT NULL,
    records BLOB NOT NULL) STRICT`,
  `CREATE TABLE clients(
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL, last_client_seq INTEGER NOT NULL,
    last_used_ms INTEGER NOT NULL) STRICT`,
  `CREATE TABLE snapshots(
    id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, part INTEGER NOT NULL, parts INTEGER NOT NULL,
    checksum INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT`,
];

/** In an object that holds no session, within the caller's transaction. */
export function createSession(sql: ObjectSql, name: string, epoch: string): void {
  for (const statement of tables) sql.exec(statement);
  sql.exec("INSERT INTO session VALUES(?, ?, ?, 1, 0, 0)", name, format, epoch);
}

/**
 * The session's row; undefined where the object holds none. An object that was only asked has no tables, and so costs
 * nothing.
 *
 * @throws BatonError `LOG_UNAVAILABLE` where a newer relay wrote it
 */
export function readSession(sql: ObjectSql): SqlRow | undefined {
  if (firstRow(sql, "SELECT name FROM sqlite_master WHERE name = 'session'") === undefined) return undefined;
  const row = firstRow(sql, "SELECT * FROM session");
  if (row === undefined) throw new BatonError("LOG_DAMAGED");
  const version = integerOf(row, "format");
  if (version > format) {
    throw new BatonError(
      "LOG_UNAVAILABLE",
      `the session was written by a newer Baton (format ${version}; this one reads up to ${format})`,
    );
  }
  return row;
}
