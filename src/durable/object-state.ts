import { crc32 } from "node:zlib";
import { BatonError } from "../session/reasons.ts";
import { chainStart } from "./chain.ts";
import { readSession } from "./object-schema.ts";
import { blobOf, firstRow, type ObjectSql } from "./object-storage.ts";
import { recordOverheadBytes, unpackRecords } from "./packed-records.ts";
import type { LogState } from "./session-log.ts";
import { integerOf, type SqlRow, textOf } from "./sqlite-driver.ts";

/** The last row of the records: the one that grows. */
export interface LastRow {
  readonly firstSeq: number;
  /** The packed records in it. */
  readonly bytes: Uint8Array;
}

/** An object's session as it stands after everything written. Nobody else writes, so it need not be read again. */
export interface ObjectSession {
  readonly name: string;
  readonly epoch: string;
  readonly head: number;
  readonly headChecksum: number;
  /** Of all frames ever. */
  readonly endBytes: number;
  readonly first: number;
  /** Of all frames ever before the first that is kept. */
  readonly firstBytes: number;
  readonly lastActivityMs: number;
  /** The newest claim of any client that is remembered. */
  readonly lastGeneration: number;
  readonly lastRow: LastRow | undefined;
  /** The last numbers, by client, that the last row has and the clients' own rows may not. */
  readonly carried: ReadonlyMap<number, number>;
  /** The directory knows of it. */
  readonly isListed: boolean;
  /** Something of it is not what was written. */
  readonly isDamaged: boolean;
}

export function newSession(name: string, epoch: string): ObjectSession {
  return {
    name,
    epoch,
    head: 0,
    headChecksum: chainStart,
    endBytes: 0,
    first: 1,
    firstBytes: 0,
    lastActivityMs: 0,
    lastGeneration: 0,
    lastRow: undefined,
    carried: new Map(),
    isListed: false,
    isDamaged: false,
  };
}

export function logStateOf({ epoch, head, first, endBytes, firstBytes, lastActivityMs }: ObjectSession): LogState {
  return { epoch, head, first, bytes: endBytes - firstBytes, lastActivityMs };
}

/**
 * Reads what the object holds: three rows and the clients' times, however long the log is. Undefined: no session.
 *
 * @throws BatonError `LOG_UNAVAILABLE` where a newer relay wrote it
 */
export function loadSession(sql: ObjectSql): ObjectSession | undefined {
  const row = readSession(sql);
  if (row === undefined) return undefined;
  const clients = firstRow(
    sql,
    "SELECT coalesce(max(generation), 0) AS generation, coalesce(max(last_used_ms), 0) AS used_ms FROM clients",
  );
  const session: ObjectSession = {
    ...newSession(textOf(row, "name"), textOf(row, "epoch")),
    first: integerOf(row, "first"),
    firstBytes: integerOf(row, "first_bytes"),
    isListed: integerOf(row, "listed") === 1,
    lastGeneration: integerOf(clients ?? {}, "generation"),
    lastActivityMs: integerOf(clients ?? {}, "used_ms"),
  };
  const last = firstRow(sql, "SELECT * FROM records ORDER BY first_seq DESC LIMIT 1");
  // The last row is never trimmed, so a log without one never had any.
  if (last === undefined) return session.first === 1 ? session : { ...session, isDamaged: true };
  return withLastRow(session, last);
}

function withLastRow(session: ObjectSession, row: SqlRow): ObjectSession {
  const bytes = blobOf(row, "records");
  const firstSeq = integerOf(row, "first_seq");
  const head = integerOf(row, "last_seq");
  const frameBytes = bytes.length - recordOverheadBytes * (head - firstSeq + 1);
  const atHead = {
    ...session,
    head,
    endBytes: integerOf(row, "start_bytes") + frameBytes,
    lastRow: { firstSeq, bytes },
    lastActivityMs: Math.max(session.lastActivityMs, integerOf(row, "at_ms")),
  };
  const headChecksum = endChecksumOf(row, bytes, firstSeq, head);
  if (headChecksum === undefined) return { ...atHead, isDamaged: true };
  return { ...atHead, headChecksum, carried: parseWriters(textOf(row, "writers")) };
}

/** Undefined: the row is not what was written. */
function endChecksumOf(row: SqlRow, bytes: Uint8Array, firstSeq: number, head: number): number | undefined {
  let seq = firstSeq - 1;
  let checksum = integerOf(row, "start_checksum");
  try {
    for (const record of unpackRecords(bytes, firstSeq, checksum)) ({ seq, checksum } = record);
  } catch (error) {
    if (error instanceof BatonError) return undefined;
    throw error;
  }
  return seq === head && writersChecksum(textOf(row, "writers"), checksum) === integerOf(row, "writers_checksum")
    ? checksum
    : undefined;
}

/** Covers the records before it too, so that numbers and records cannot be of two appends. */
export function writersChecksum(writers: string, endChecksum: number): number {
  return crc32(writers, endChecksum);
}

/** "7,12 9,4": client 7 is at 12, client 9 at 4. */
export function formatWriters(carried: ReadonlyMap<number, number>): string {
  return [...carried].map(([client, clientSeq]) => `${client},${clientSeq}`).join(" ");
}

function parseWriters(text: string): Map<number, number> {
  const pairs = text === "" ? [] : text.split(" ");
  return new Map(
    pairs.map((pair) => {
      const [client = "", clientSeq = ""] = pair.split(",");
      return [Number(client), Number(clientSeq)];
    }),
  );
}
