import { BatonError } from "../session/reasons.ts";
import { integerOf, type SqlConnection } from "./sqlite-driver.ts";

/** "BATN": marks the file as a Baton log (`PRAGMA application_id`). */
export const applicationId = 0x42_41_54_4e;
/**
 * The format of the tables (`PRAGMA user_version`). A change that an older relay cannot read, or must not, raises it.
 *
 * 1: everything but `revocations`. 2: something was revoked. A relay that does not know the table would take the revoked
 * tokens again, so it must not open the file; one in which nothing was ever revoked stays at 1, and an older relay goes on
 * with it as with its own.
 */
export const formatVersion = 2;
const firstVersion = 1;

/**
 * Appends go to `journal`, at its end, whatever their session: a commit of 100 sessions then writes a few pages, not
 * 100 (measured: keyed by session it took 2.5 ms instead of 0.5 ms). A session's journalled records are folded, joined
 * by the dozen, into `segments`, where they lie in the order in which they are read; `sessions` and `clients` are as of
 * the folded records. What is in the journal beyond that is replayed into memory when the file is opened.
 *
 * Ids are never used twice (AUTOINCREMENT), so that what the journal says of a deleted session is of nobody.
 */
const tables = [
  `CREATE TABLE sessions(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
    head INTEGER NOT NULL, first INTEGER NOT NULL, bytes INTEGER NOT NULL,
    head_checksum INTEGER NOT NULL, last_activity_ms INTEGER NOT NULL) STRICT`,
  `CREATE TABLE clients(
    id INTEGER PRIMARY KEY AUTOINCREMENT, session INTEGER NOT NULL, user_id TEXT NOT NULL, client_id TEXT NOT NULL,
    generation INTEGER NOT NULL, last_client_seq INTEGER NOT NULL, last_used_ms INTEGER NOT NULL,
    UNIQUE(session, user_id, client_id)) STRICT`,
  `CREATE TABLE journal(
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, first_seq INTEGER NOT NULL, start_checksum INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, writers TEXT NOT NULL, writers_checksum INTEGER NOT NULL, records BLOB NOT NULL) STRICT`,
  `CREATE TABLE segments(
    session INTEGER NOT NULL, last_seq INTEGER NOT NULL, first_seq INTEGER NOT NULL, start_checksum INTEGER NOT NULL,
    records BLOB NOT NULL, PRIMARY KEY(session, last_seq)) STRICT, WITHOUT ROWID`,
  `CREATE TABLE snapshots(
    session INTEGER NOT NULL, seq INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY(session, seq)) STRICT, WITHOUT ROWID`,
  "CREATE TABLE secrets(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
  "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
  "INSERT INTO counters VALUES('generation', 0)",
];

/** `place` is never given twice either: an instance that has read up to one finds what is new behind it. */
const revocations = `CREATE TABLE IF NOT EXISTS revocations(
  place INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, issued_before_ms INTEGER NOT NULL,
  UNIQUE(kind, name)) STRICT`;

const pragma = (db: SqlConnection, name: string) => integerOf(db.prepare(`PRAGMA ${name}`).get() ?? {}, name);

/**
 * Refuses a file that is not this log's, and tells whether it is empty still.
 *
 * @throws BatonError `LOG_UNAVAILABLE`
 */
export function assertOwnFormat(db: SqlConnection, path: string): boolean {
  const owner = pragma(db, "application_id");
  const version = pragma(db, "user_version");
  const objects = integerOf(db.prepare("SELECT count(*) AS n FROM sqlite_schema").get() ?? {}, "n");
  if (owner === 0 && version === 0 && objects === 0) return true;
  if (owner !== applicationId) {
    throw new BatonError(
      "LOG_UNAVAILABLE",
      `${path} is a database of another program; choose another data folder (BATON_DATA_DIR)`,
    );
  }
  if (version > formatVersion) {
    throw new BatonError(
      "LOG_UNAVAILABLE",
      `${path} was written by a newer Baton (format ${version}; this one reads up to ${formatVersion}); ` +
        "run the newer one, or choose another data folder (BATON_DATA_DIR)",
    );
  }
  return false;
}

/** In an empty file, within the caller's transaction. */
export function createTables(db: SqlConnection): void {
  for (const statement of tables) db.exec(statement);
  db.exec(`PRAGMA application_id = ${applicationId}`);
  db.exec(`PRAGMA user_version = ${firstVersion}`);
}

/** In a file of an older relay, within the caller's transaction: what it lacks, and that relay does not look at. */
export function addTables(db: SqlConnection): void {
  db.exec(revocations);
}

/** In a copy that may take the place of its original one day, within no transaction or the caller's. */
export function markAsBackup(db: SqlConnection): void {
  db.exec("INSERT OR REPLACE INTO counters VALUES('backup', 1)");
}

/**
 * A backup that a relay is started on has lost what came after it. Clients may hold records of which the next ones take
 * the seqs, so every session begins a new epoch, by which they know. Within the caller's transaction.
 */
export function leaveBackup(db: SqlConnection): void {
  const mark = db.prepare("SELECT value FROM counters WHERE name = 'backup'").get();
  if (mark === undefined) return;
  db.exec("UPDATE sessions SET epoch = lower(hex(randomblob(12)))");
  db.exec("DELETE FROM counters WHERE name = 'backup'");
}
