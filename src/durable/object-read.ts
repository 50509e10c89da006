import { BatonError } from "../session/reasons.ts";
import type { ObjectSession } from "./object-state.ts";
import { blobOf, firstRow, type ObjectSql } from "./object-storage.ts";
import { type UnpackedRecord, unpackRecords } from "./packed-records.ts";
import { integerOf } from "./sqlite-driver.ts";

/**
 * The records `from`..`to`, as far as they are kept, each checked against the chain and each row against the one before it.
 *
 * @throws BatonError `LOG_DAMAGED` at the first record or row that does not follow
 */
export function* readRecords(
  sql: ObjectSql,
  { head, headChecksum }: ObjectSession,
  from: number,
  to: number,
): Generator<UnpackedRecord, void> {
  const last = Math.min(to, head);
  let previous: number | undefined;
  for (let next = from; next <= last; ) {
    const row = firstRow(sql, "SELECT * FROM records WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1", next);
    if (row === undefined) throw new BatonError("LOG_DAMAGED");
    const startChecksum = integerOf(row, "start_checksum");
    if (previous !== undefined && startChecksum !== previous) throw new BatonError("LOG_DAMAGED");
    const lastSeq = integerOf(row, "last_seq");
    for (const record of unpackRecords(blobOf(row, "records"), integerOf(row, "first_seq"), startChecksum)) {
      if (record.seq > last) return;
      previous = record.checksum;
      if (record.seq < next) continue;
      // Before it is given out: what is missing behind the last record must not pass for the end.
      if (record.seq === head && record.checksum !== headChecksum) throw new BatonError("LOG_DAMAGED");
      yield record;
      next = record.seq + 1;
    }
    if (next !== lastSeq + 1) throw new BatonError("LOG_DAMAGED");
  }
}
