import { mkdirSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { BatonError } from "../session/reasons.ts";
import type { SqlConnection, SqlDriver } from "./sqlite-driver.ts";
import { failureKind, primary, primaryCode } from "./sqlite-errors.ts";
import { addTables, assertOwnFormat, createTables, leaveBackup } from "./sqlite-schema.ts";

/** Pages of the write-ahead log after which they are put into the database file: 16 MiB, which takes some 20 ms. */
export const checkpointPages = 4_000;

/**
 * - WAL: an append is written once, at the log's end; with the lock below its index lies in memory, without a file.
 * - FULL: in WAL mode every commit is synced; with NORMAL a power cut could take acked records.
 * - The cache holds the pages that appends touch; the WAL is cut back to 64 MiB after a checkpoint that came late.
 */
const pragmas = [
  "PRAGMA journal_mode = WAL",
  "PRAGMA synchronous = FULL",
  "PRAGMA cache_size = -16384",
  `PRAGMA wal_autocheckpoint = ${checkpointPages}`,
  "PRAGMA journal_size_limit = 67108864",
  "PRAGMA temp_store = MEMORY",
];

/** @throws BatonError `LOG_UNAVAILABLE` that names the folder and what to do about it */
export function makeDataFolder(path: string): void {
  const folder = dirname(resolve(path));
  try {
    mkdirSync(folder, { recursive: true });
  } catch (cause) {
    throw unusableFolder(folder, cause);
  }
}

function unusableFolder(folder: string, cause: unknown): BatonError {
  return new BatonError(
    "LOG_UNAVAILABLE",
    `the data folder ${folder} cannot be made or written; give this user the right to write there, ` +
      "or name another folder (BATON_DATA_DIR)",
    { cause },
  );
}

/**
 * Opens the database and takes its lock.
 *
 * @param waitMs how long another's lock is waited for; the thread stands still meanwhile
 * @throws BatonError `LOG_UNAVAILABLE` whose text names the file
 */
export function openDatabase(driver: SqlDriver, path: string, waitMs: number): SqlConnection {
  let db: SqlConnection | undefined;
  try {
    db = driver.open(path);
    db.exec(`PRAGMA busy_timeout = ${waitMs}`);
    // Before the first access: the lock on the file is then held until it is closed. Memory may stand for the file, and
    // a second relay is refused instead of interleaved.
    db.exec("PRAGMA locking_mode = EXCLUSIVE");
    // Before anything else: also the change to WAL writes to the file, and another's is not touched.
    const isNew = assertOwnFormat(db, path);
    for (const pragma of pragmas) db.exec(pragma);
    // Takes the lock where reading has not done so already, and keeps it.
    db.exec("BEGIN IMMEDIATE");
    if (isNew) createTables(db);
    addTables(db);
    leaveBackup(db);
    db.exec("COMMIT");
    // From here on the lock is ours; should it ever be lost, waiting is the queue's, which lets others run meanwhile.
    db.exec("PRAGMA busy_timeout = 0");
    return db;
  } catch (error) {
    try {
      db?.close();
    } catch {
      // The error that counts is the one on the way.
    }
    throw openError(driver, path, error);
  }
}

/** What went wrong while the file was opened or its journal was read, for the one who starts the relay. */
export function openError(driver: SqlDriver, path: string, cause: unknown): BatonError {
  if (cause instanceof BatonError) return cause;
  const code = driver.resultCode(cause);
  if (failureKind(code) === "busy") {
    return new BatonError(
      "LOG_UNAVAILABLE",
      `${path} is in use by another relay; one process at a time may use a data folder ` +
        "(stop the other one, or set BATON_DATA_DIR)",
      { cause },
    );
  }
  switch (primaryCode(code)) {
    case primary.full:
      return new BatonError("LOG_FULL", `no space is left for ${path}`, { cause });
    case primary.cantOpen:
    case primary.readonly:
      return unusableFolder(dirname(resolve(path)), cause);
    case undefined:
    case primary.corrupt:
    case primary.notADatabase:
      return new BatonError(
        "LOG_UNAVAILABLE",
        `${path} is damaged or no database; put a backup in its place, or move it away to start an empty log`,
        { cause },
      );
    default:
      return new BatonError("LOG_UNAVAILABLE", `${path} cannot be opened`, { cause });
  }
}
