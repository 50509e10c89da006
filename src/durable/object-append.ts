import { BatonError } from "../session/reasons.ts";
import type { ObjectClients } from "./object-clients.ts";
import { formatWriters, type LastRow, type ObjectSession, writersChecksum } from "./object-state.ts";
import { maxRowBytes, type ObjectStorage } from "./object-storage.ts";
import { packRecords, type RecordPack, recordOverheadBytes } from "./packed-records.ts";
import type { LogRecord } from "./session-log.ts";

/**
 * How far the last row grows: each append writes it anew, and a row is what a read takes at least. At 16 KiB an append
 * writes 8 KiB on average, and a trimmed log gives up a row for some 80 edits.
 */
export const rowBytes = 16 * 1024;
/** Clients whose numbers the last row holds; then they are written to their own rows. */
const mostCarried = 512;

/**
 * Writes records that follow the session's head, with the last numbers of their writers, and tells how the session then
 * stands. It is one row, but for the first of so many bytes, or of so many clients.
 *
 * @param carried the last numbers of all clients that had any in the last row or have written now
 * @throws BatonError `LOG_FULL` where a record does not fit into a row
 */
export function appendRecords(
  storage: ObjectStorage,
  clients: ObjectClients,
  session: ObjectSession,
  records: readonly LogRecord[],
  carried: ReadonlyMap<number, number>,
  atMs: number,
): ObjectSession {
  const packs = packRows(records, session.headChecksum);
  const isSettled = carried.size > mostCarried;
  const kept = isSettled ? new Map<number, number>() : carried;
  const [only] = packs;
  if (packs.length === 1 && only !== undefined && !isSettled) return writePack(storage, session, only, kept, atMs);
  return storage.transactionSync(() => {
    if (isSettled) clients.settle(carried, atMs);
    return packs.reduce((before, pack) => writePack(storage, before, pack, kept, atMs), session);
  });
}

/** As many packs as rows are needed: all but a giant batch is one. */
function packRows(records: readonly LogRecord[], startChecksum: number): RecordPack[] {
  const packs: RecordPack[] = [];
  let start = 0;
  let bytes = 0;
  let checksum = startChecksum;
  const cut = (end: number) => {
    const pack = packRecords(records.slice(start, end), checksum);
    packs.push(pack);
    checksum = pack.endChecksum;
    start = end;
    bytes = 0;
  };
  for (const [index, { frame }] of records.entries()) {
    const size = frame.length + recordOverheadBytes;
    if (size > maxRowBytes) {
      throw new BatonError("LOG_FULL", `a record of ${size} bytes does not fit into a row, which has ${maxRowBytes}`);
    }
    if (bytes > 0 && bytes + size > maxRowBytes) cut(index);
    bytes += size;
  }
  cut(records.length);
  return packs;
}

function writePack(
  { sql }: ObjectStorage,
  session: ObjectSession,
  pack: RecordPack,
  carried: ReadonlyMap<number, number>,
  atMs: number,
): ObjectSession {
  const { lastRow } = session;
  const writers = formatWriters(carried);
  const checksum = writersChecksum(writers, pack.endChecksum);
  const grown = lastRow && grow(lastRow, pack);
  if (grown !== undefined) {
    sql.exec(
      "UPDATE records SET last_seq = ?, at_ms = ?, writers = ?, writers_checksum = ?, records = ? WHERE first_seq = ?",
      pack.lastSeq,
      atMs,
      writers,
      checksum,
      grown.bytes,
      grown.firstSeq,
    );
  } else {
    sql.exec(
      "INSERT INTO records VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
      pack.firstSeq,
      pack.lastSeq,
      pack.startChecksum,
      session.endBytes,
      atMs,
      writers,
      checksum,
      pack.bytes,
    );
  }
  return {
    ...session,
    head: pack.lastSeq,
    headChecksum: pack.endChecksum,
    endBytes: session.endBytes + pack.bytes.length - recordOverheadBytes * (pack.lastSeq - pack.firstSeq + 1),
    lastActivityMs: atMs,
    lastRow: grown ?? { firstSeq: pack.firstSeq, bytes: pack.bytes },
    carried,
  };
}

/** The row with a pack behind what it has; undefined where it would be larger than a row is to be. */
function grow({ firstSeq, bytes }: LastRow, pack: RecordPack): LastRow | undefined {
  if (bytes.length + pack.bytes.length > rowBytes) return undefined;
  const joined = new Uint8Array(bytes.length + pack.bytes.length);
  joined.set(bytes);
  joined.set(pack.bytes, bytes.length);
  return { firstSeq, bytes: joined };
}
