import { BatonError } from "../session/reasons.ts";
import { loadDefaultDriver } from "./default-driver.ts";
import { openSqliteLog } from "./log-sqlite.ts";
import type { SessionListing, SessionLog } from "./session-log.ts";
import { type SqlConnection, textOf } from "./sqlite-driver.ts";
import { openError } from "./sqlite-open.ts";
import { markAsBackup } from "./sqlite-schema.ts";

export interface StoreReport {
  readonly sessions: number;
  readonly records: number;
  /** Sessions that are set aside, as a relay on this file would. */
  readonly damaged: readonly string[];
}

const pageSessions = 1_000;
const readBytes = 4 * 1024 * 1024;

/**
 * Looks through a copy of a database, which nobody uses, and makes it a backup: a relay that is started on it knows that it
 * is one.
 */
export async function finishBackup(path: string): Promise<StoreReport> {
  const report = await verifyDatabase(path);
  await withDatabase(path, markAsBackup);
  return report;
}

/**
 * Looks through a database file that nobody uses: each page by SQLite's own check, then each record of each session
 * against its chain, and the snapshot from which a relay would start. It takes as long as reading the file twice.
 *
 * @throws BatonError `LOG_UNAVAILABLE` that names the file, where it is not whole, not of this relay, or in use
 */
export async function verifyDatabase(path: string): Promise<StoreReport> {
  // Also refuses what is no log, or of a newer format, by name.
  const log = await openSqliteLog({ path, now: Date.now, lockWaitMs: 0 });
  const report = { sessions: 0, records: 0, damaged: [] as string[] };
  try {
    for (let after = ""; ; ) {
      const page = await log.list("", after, pageSessions);
      for (const session of page) {
        report.sessions += 1;
        report.records += session.head - session.first + 1;
        if (!(await isSound(log, session))) report.damaged.push(session.sessionId);
      }
      const last = page.at(-1);
      if (last === undefined || page.length < pageSessions) break;
      after = last.sessionId;
    }
  } finally {
    await log.close();
  }
  // In a damaged session it finds nothing: to SQLite a record is bytes.
  await assertIntegrity(path);
  return report;
}

async function isSound(log: SessionLog, { sessionId, first, head }: SessionListing): Promise<boolean> {
  try {
    for (let next = first; next <= head; ) {
      const records = await log.read(sessionId, next, head, readBytes);
      if (records.length === 0) return false;
      next += records.length;
    }
    await log.latestSnapshot(sessionId);
    return true;
  } catch (error) {
    if (error instanceof BatonError && error.reason === "LOG_DAMAGED") return false;
    throw error;
  }
}

function assertIntegrity(path: string): Promise<void> {
  return withDatabase(path, (db) => {
    const row = db.prepare("PRAGMA integrity_check(1)").get() ?? {};
    if (textOf(row, "integrity_check") !== "ok") throw new BatonError("LOG_UNAVAILABLE", `${path} is damaged`);
  });
}

async function withDatabase(path: string, work: (db: SqlConnection) => void): Promise<void> {
  const driver = await loadDefaultDriver();
  const db = driver.open(path);
  try {
    work(db);
  } catch (error) {
    throw openError(driver, path, error);
  } finally {
    db.close();
  }
}
