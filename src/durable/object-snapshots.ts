import { crc32 } from "node:zlib";
import { BatonError } from "../session/reasons.ts";
import type { ObjectSession } from "./object-state.ts";
import { blobOf, maxRowBytes, type ObjectSql } from "./object-storage.ts";
import type { StoredSnapshot } from "./session-log.ts";
import { integerOf, type SqlRow } from "./sqlite-driver.ts";

// The table has a few rows, with the bytes behind the columns that are looked at: to look through it reads little.

export function hasSnapshot(sql: ObjectSql, seq: number): boolean {
  return [...sql.exec("SELECT id FROM snapshots WHERE seq = ?", seq)].length > 0;
}

/** A row for each 2 MB. Within the caller's transaction. */
export function insertSnapshot(sql: ObjectSql, { seq, bytes }: StoredSnapshot): void {
  const parts = Math.max(1, Math.ceil(bytes.length / maxRowBytes));
  let checksum = seq;
  for (let part = 0; part < parts; part++) {
    const piece = bytes.subarray(part * maxRowBytes, (part + 1) * maxRowBytes);
    checksum = crc32(piece, checksum);
    sql.exec("INSERT INTO snapshots VALUES(NULL, ?, ?, ?, ?, ?)", seq, part, parts, checksum, piece);
  }
}

/** Undefined: there is none at this seq; "damaged": it is not what was written. */
export function readSnapshot(sql: ObjectSql, seq: number): StoredSnapshot | "damaged" | undefined {
  const rows = [...sql.exec("SELECT part, parts, checksum, bytes FROM snapshots WHERE seq = ? ORDER BY part", seq)];
  const [first] = rows;
  if (first === undefined) return undefined;
  if (rows.length !== integerOf(first, "parts") || !isChain(rows, seq)) return "damaged";
  return { seq, bytes: join(rows.map((row) => blobOf(row, "bytes"))) };
}

function isChain(rows: readonly SqlRow[], seq: number): boolean {
  let checksum = seq;
  return rows.every((row) => {
    checksum = crc32(blobOf(row, "bytes"), checksum);
    return checksum === integerOf(row, "checksum");
  });
}

function join(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces;
  if (only !== undefined && pieces.length === 1) return only;
  const joined = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const piece of pieces) {
    joined.set(piece, offset);
    offset += piece.length;
  }
  return joined;
}

/**
 * The newest sound snapshot at or before a seq. A damaged one is passed over: an older one and the records after it fold to
 * the same state, and while record 1 is kept so does the log alone.
 *
 * @throws BatonError `LOG_DAMAGED` where nothing is left that could be folded
 */
export function latestSoundSnapshot(
  sql: ObjectSql,
  { first }: ObjectSession,
  atMost: number,
): StoredSnapshot | undefined {
  const query = "SELECT DISTINCT seq FROM snapshots WHERE seq <= ? ORDER BY seq DESC";
  const seqs = [...sql.exec(query, Math.min(atMost, Number.MAX_SAFE_INTEGER))].map((row) => integerOf(row, "seq"));
  for (const seq of seqs) {
    const snapshot = readSnapshot(sql, seq);
    if (snapshot !== undefined && snapshot !== "damaged") return snapshot;
  }
  if (seqs.length > 0 && first > 1) throw new BatonError("LOG_DAMAGED");
  return undefined;
}
