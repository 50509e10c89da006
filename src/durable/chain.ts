import { crc32 } from "node:zlib";
import type { LogRecord } from "./session-log.ts";

/** What stands for the predecessor of record 1. */
export const chainStart = 0;

const header = new Uint8Array(16);
const headerView = new DataView(header.buffer);

/**
 * The checksum of a record: a running CRC-32 over its predecessor's checksum, its seq, its payload hash and its frame.
 * Since each covers the one before, a record that was changed, moved, doubled or lost breaks the chain at its place.
 * It finds accidents (bit rot, torn writes, rows that went missing), not forgery.
 *
 * A trimmed log keeps the checksum of the last record it gave up, and the chain of what is left starts there.
 */
export function chainChecksum(previous: number, record: LogRecord): number {
  headerView.setFloat64(0, record.seq);
  headerView.setFloat64(8, record.payloadHash);
  return crc32(record.frame, crc32(header, previous));
}
