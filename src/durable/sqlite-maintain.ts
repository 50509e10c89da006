import { crc32 } from "node:zlib";
import { BatonError } from "../session/reasons.ts";
import { recordOverheadBytes, unpackRecords } from "./packed-records.ts";
import type { StoredSnapshot } from "./session-log.ts";
import { bytesOf, integerOf } from "./sqlite-driver.ts";
import { readSnapshot } from "./sqlite-read.ts";
import type { SessionState } from "./sqlite-session.ts";
import type { SqliteStore } from "./sqlite-store.ts";
import type { UndoList } from "./undo-list.ts";

/** What is done to a session besides appending; each runs inside a transaction of the caller. */

export function putSnapshot(store: SqliteStore, name: string, epoch: string, { seq, bytes }: StoredSnapshot): void {
  const session = store.soundSession(name);
  if (session?.epoch !== epoch || seq > session.head || seq < session.first - 1) return;
  store.sql.insertSnapshot.run(session.id, seq, crc32(bytes, seq), bytes);
}

export function dropSnapshot(store: SqliteStore, name: string, epoch: string, seq: number): void {
  const session = store.soundSession(name);
  if (session?.epoch === epoch && seq !== session.first - 1) store.sql.deleteSnapshot.run(session.id, seq);
}

export function trim(store: SqliteStore, name: string, epoch: string, throughSeq: number, undo: UndoList): void {
  const session = store.soundSession(name);
  if (session?.epoch !== epoch || throughSeq < session.first) return;
  const snapshot = store.reading(session, () => readSnapshot(store.sql, session.id, throughSeq));
  if (snapshot === undefined || snapshot === "damaged") return;
  store.journal.fold(session, undo);
  const { sql } = store;
  const before = session.bytes;
  let removed = 0;
  const cut = store.reading(session, () => cutSegment(store, session, throughSeq));
  if (cut !== undefined) removed += cut.removedBytes;
  const whole = sql.sizeOfSegments.get(session.id, throughSeq) ?? {};
  removed += integerOf(whole, "bytes") - recordOverheadBytes * integerOf(whole, "records");
  sql.deleteSegments.run(session.id, throughSeq);
  sql.deleteSnapshots.run(session.id, throughSeq);
  sql.trimSession.run(throughSeq + 1, before - removed, session.id);
  const { first, bytes } = session;
  Object.assign(session, { first: throughSeq + 1, bytes: before - removed });
  undo.add(() => Object.assign(session, { first, bytes }));
}

/** Where a trim ends inside a segment: keeps what lies behind, with the checksum of the last record that goes. */
function cutSegment(
  store: SqliteStore,
  session: SessionState,
  throughSeq: number,
): { removedBytes: number } | undefined {
  if (throughSeq >= session.head) return undefined;
  const row = store.sql.segmentAt.get(session.id, throughSeq + 1);
  if (row === undefined) throw new BatonError("LOG_DAMAGED");
  const firstSeq = integerOf(row, "first_seq");
  if (firstSeq > throughSeq) return undefined;
  const bytes = bytesOf(row, "records");
  let offset = 0;
  let removedBytes = 0;
  let checksum = 0;
  for (const record of unpackRecords(bytes, firstSeq, integerOf(row, "start_checksum"))) {
    if (record.seq > throughSeq) break;
    offset += recordOverheadBytes + record.frame.length;
    removedBytes += record.frame.length;
    checksum = record.checksum;
  }
  const rest = bytes.slice(offset);
  store.sql.cutSegment.run(throughSeq + 1, checksum, rest, session.id, integerOf(row, "last_seq"));
  return { removedBytes };
}

export function renewEpoch(
  store: SqliteStore,
  name: string,
  expectedEpoch: string,
  newEpoch: string,
  undo: UndoList,
): string {
  const session = store.soundSession(name);
  if (session === undefined) return "";
  if (session.epoch !== expectedEpoch) return session.epoch;
  store.sql.renewSession.run(newEpoch, session.id);
  session.epoch = newEpoch;
  undo.add(() => Object.assign(session, { epoch: expectedEpoch }));
  return newEpoch;
}

/**
 * Also of a damaged session: the way out of the damage, for who means it. By age alone (`untouchedSinceMs`) none goes that
 * an operator has not looked at. Tells the epoch that ended; empty: nothing was deleted.
 */
export function deleteSession(
  store: SqliteStore,
  name: string,
  untouchedSinceMs: number | undefined,
  undo: UndoList,
): string {
  const session = store.session(name);
  if (session === undefined) return "";
  const isByAge = untouchedSinceMs !== undefined;
  if (isByAge && (session.lastActivityMs >= untouchedSinceMs || store.isDamaged(session))) return "";
  const { sql } = store;
  sql.deleteSession.run(session.id);
  sql.deleteClients.run(session.id);
  sql.deleteSegments.run(session.id, Number.MAX_SAFE_INTEGER);
  sql.deleteSnapshots.run(session.id, Number.MAX_SAFE_INTEGER);
  // Rows of a sound session are swept in their turn; a damaged one's are known to nobody.
  if (store.isDamaged(session)) sql.deleteJournalOf.run(session.id);
  store.journal.forget(session, undo);
  store.unload(session, undo);
  return session.epoch;
}

export function keepSecret(store: SqliteStore, name: string, proposed: Uint8Array): Uint8Array {
  const row = store.sql.secret.get(name);
  if (row !== undefined) return bytesOf(row, "value");
  store.sql.insertSecret.run(name, proposed);
  return proposed.slice();
}
