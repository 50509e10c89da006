import { crc32 } from "node:zlib";
import { BatonError } from "../session/reasons.ts";
import { type UnpackedRecord, unpackRecords } from "./packed-records.ts";
import type { StoredSnapshot } from "./session-log.ts";
import { bytesOf, integerOf } from "./sqlite-driver.ts";
import type { SessionState } from "./sqlite-session.ts";
import type { Statements } from "./sqlite-statements.ts";

/**
 * A session's row, as loaded, and its last segment speak of the same head.
 *
 * @throws BatonError `LOG_DAMAGED`
 */
export function assertHeadSegment(sql: Statements, session: SessionState): void {
  if (session.foldedHead < session.first) return;
  const row = sql.segmentAt.get(session.id, session.foldedHead);
  if (row === undefined || integerOf(row, "last_seq") !== session.foldedHead) throw new BatonError("LOG_DAMAGED");
}

/**
 * The records `from`..`to`, as far as they are kept, from segments and then from the tail, each checked against the
 * chain and each segment against the one before it.
 *
 * @throws BatonError `LOG_DAMAGED` at the first record or segment that does not follow
 */
export function* readRecords(
  sql: Statements,
  session: SessionState,
  from: number,
  to: number,
): Generator<UnpackedRecord, void> {
  const last = Math.min(to, session.head);
  let next = from;
  let previous: number | undefined;
  while (next <= Math.min(last, session.foldedHead)) {
    const row = sql.segmentAt.get(session.id, next);
    const firstSeq = row === undefined ? Number.POSITIVE_INFINITY : integerOf(row, "first_seq");
    if (row === undefined || firstSeq > next) throw new BatonError("LOG_DAMAGED");
    const startChecksum = integerOf(row, "start_checksum");
    if (previous !== undefined && startChecksum !== previous) throw new BatonError("LOG_DAMAGED");
    const lastSeq = integerOf(row, "last_seq");
    for (const record of unpackRecords(bytesOf(row, "records"), firstSeq, startChecksum)) {
      if (record.seq > last) return;
      previous = record.checksum;
      if (record.seq < next) continue;
      if (record.seq > lastSeq) throw new BatonError("LOG_DAMAGED");
      // Before it is given out: what is missing behind the last record must not pass for the end.
      if (record.seq === session.foldedHead && record.checksum !== foldedChecksum(session)) {
        throw new BatonError("LOG_DAMAGED");
      }
      yield record;
      next = record.seq + 1;
    }
    if (next !== lastSeq + 1) throw new BatonError("LOG_DAMAGED");
  }
  for (const pack of session.tail) {
    if (pack.lastSeq < next) continue;
    for (const record of unpackRecords(pack.bytes, pack.firstSeq, pack.startChecksum)) {
      if (record.seq > last) return;
      if (record.seq >= next) yield record;
    }
  }
}

/** The checksum that the last record in the segments must have. */
function foldedChecksum(session: SessionState): number {
  return session.tail[0]?.startChecksum ?? session.headChecksum;
}

/** A snapshot with its checksum. Undefined: there is none at this seq; "damaged": it is not what was written. */
export function readSnapshot(sql: Statements, sessionId: number, seq: number): StoredSnapshot | "damaged" | undefined {
  const row = sql.snapshotAt.get(sessionId, seq);
  if (row === undefined) return undefined;
  const bytes = bytesOf(row, "bytes");
  return crc32(bytes, seq) === integerOf(row, "checksum") ? { seq, bytes } : "damaged";
}

/**
 * The newest sound snapshot at or before a seq. A damaged one is passed over: an older one and the records after it
 * fold to the same state, and while record 1 is kept so does the log alone.
 *
 * @throws BatonError `LOG_DAMAGED` where nothing is left that could be folded
 */
export function latestSoundSnapshot(
  sql: Statements,
  session: SessionState,
  atMost: number,
): StoredSnapshot | undefined {
  const candidates = sql.snapshotsBefore.all(session.id, Math.min(atMost, Number.MAX_SAFE_INTEGER));
  for (const row of candidates) {
    const snapshot = readSnapshot(sql, session.id, integerOf(row, "seq"));
    if (snapshot !== undefined && snapshot !== "damaged") return snapshot;
  }
  if (candidates.length > 0 && session.first > 1) throw new BatonError("LOG_DAMAGED");
  return undefined;
}
