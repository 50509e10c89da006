import { BatonError } from "../session/reasons.ts";
import { hasSnapshot, insertSnapshot, readSnapshot } from "./object-snapshots.ts";
import type { ObjectSession } from "./object-state.ts";
import { blobOf, firstRow, type ObjectStorage } from "./object-storage.ts";
import { unpackRecords } from "./packed-records.ts";
import type { StoredSnapshot } from "./session-log.ts";
import { integerOf } from "./sqlite-driver.ts";

/** What is done to a session besides appending. Each tells how the session then stands. */

export function putSnapshot(storage: ObjectStorage, session: ObjectSession, snapshot: StoredSnapshot): void {
  const { seq } = snapshot;
  if (seq > session.head || seq < session.first - 1 || hasSnapshot(storage.sql, seq)) return;
  storage.transactionSync(() => insertSnapshot(storage.sql, snapshot));
}

export function dropSnapshot({ sql }: ObjectStorage, session: ObjectSession, seq: number): void {
  if (seq !== session.first - 1) sql.exec("DELETE FROM snapshots WHERE seq = ?", seq);
}

/**
 * Rows that hold nothing but what goes are deleted. The row with the new first record stays as it is, and so does the last
 * one, which knows the head.
 */
export function trim(storage: ObjectStorage, session: ObjectSession, throughSeq: number): ObjectSession {
  const { sql } = storage;
  if (throughSeq < session.first || throughSeq > session.head) return session;
  const snapshot = readSnapshot(sql, throughSeq);
  if (snapshot === undefined || snapshot === "damaged") return session;
  const row = firstRow(sql, "SELECT * FROM records WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1", throughSeq);
  if (row === undefined || integerOf(row, "last_seq") < throughSeq) throw new BatonError("LOG_DAMAGED");
  const firstSeq = integerOf(row, "first_seq");
  let firstBytes = integerOf(row, "start_bytes");
  for (const record of unpackRecords(blobOf(row, "records"), firstSeq, integerOf(row, "start_checksum"))) {
    if (record.seq > throughSeq) break;
    firstBytes += record.frame.length;
  }
  const isNeeded = integerOf(row, "last_seq") > throughSeq || throughSeq === session.head;
  storage.transactionSync(() => {
    sql.exec("UPDATE session SET first = ?, first_bytes = ?", throughSeq + 1, firstBytes);
    sql.exec("DELETE FROM records WHERE first_seq < ?", isNeeded ? firstSeq : throughSeq + 1);
    sql.exec("DELETE FROM snapshots WHERE seq < ?", throughSeq);
  });
  return { ...session, first: throughSeq + 1, firstBytes };
}

export function renewEpoch({ sql }: ObjectStorage, session: ObjectSession, epoch: string): ObjectSession {
  sql.exec("UPDATE session SET epoch = ?", epoch);
  return { ...session, epoch };
}
