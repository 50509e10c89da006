import { BatonError } from "../session/reasons.ts";
import { chainChecksum } from "./chain.ts";
import type { LogRecord } from "./session-log.ts";

/**
 * Records that follow each other, packed into one value: for each its frame's length (u32), its checksum (u32), its
 * payload hash (f64), its frame. Numbers are big-endian. Seqs are not stored: they count on from `firstSeq`, and the
 * checksums cover them. Two packs that follow each other can be joined by joining their bytes.
 */
export interface RecordPack {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The checksum of the record before the first. */
  readonly startChecksum: number;
  /** The checksum of the last record. */
  readonly endChecksum: number;
  readonly bytes: Uint8Array;
}

/** Bytes of a pack for each record, beside its frame. */
export const recordOverheadBytes = 16;

// One for all: a `DataView` of each pack costs more than to copy 16 bytes.
const head = new Uint8Array(recordOverheadBytes);
const headView = new DataView(head.buffer);

/** `records` holds at least one. The frames are copied: the pack does not share memory with what it was made of. */
export function packRecords(records: readonly LogRecord[], startChecksum: number): RecordPack {
  let size = 0;
  for (const { frame } of records) size += recordOverheadBytes + frame.length;
  const bytes = new Uint8Array(size);
  let offset = 0;
  let checksum = startChecksum;
  for (const record of records) {
    checksum = chainChecksum(checksum, record);
    headView.setUint32(0, record.frame.length);
    headView.setUint32(4, checksum);
    headView.setFloat64(8, record.payloadHash);
    bytes.set(head, offset);
    bytes.set(record.frame, offset + recordOverheadBytes);
    offset += recordOverheadBytes + record.frame.length;
  }
  const firstSeq = records[0]?.seq ?? 0;
  return { firstSeq, lastSeq: firstSeq + records.length - 1, startChecksum, endChecksum: checksum, bytes };
}

export interface UnpackedRecord extends LogRecord {
  readonly checksum: number;
}

/**
 * The records of packed bytes, in their order, each checked before it is given out. The frames are views of `bytes`.
 *
 * @throws BatonError `LOG_DAMAGED` at the first record that does not continue the chain
 */
export function* unpackRecords(
  bytes: Uint8Array,
  firstSeq: number,
  startChecksum: number,
): Generator<UnpackedRecord, void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let seq = firstSeq;
  let previous = startChecksum;
  for (let offset = 0; offset < bytes.length; seq++) {
    const start = offset + recordOverheadBytes;
    const length = start <= bytes.length ? view.getUint32(offset) : Number.POSITIVE_INFINITY;
    if (start + length > bytes.length) throw new BatonError("LOG_DAMAGED");
    const record = {
      seq,
      frame: bytes.subarray(start, start + length),
      payloadHash: view.getFloat64(offset + 8),
      checksum: view.getUint32(offset + 4),
    };
    if (chainChecksum(previous, record) !== record.checksum) throw new BatonError("LOG_DAMAGED");
    yield record;
    previous = record.checksum;
    offset = start + length;
  }
}

/** Joins packs that follow each other, up to `maxBytes` each; one that is larger by itself stays alone. */
export function* joinPacks(packs: readonly RecordPack[], maxBytes: number): Generator<RecordPack, void> {
  let group: RecordPack[] = [];
  let bytes = 0;
  for (const pack of packs) {
    if (group.length > 0 && bytes + pack.bytes.length > maxBytes) {
      yield joinGroup(group);
      group = [];
      bytes = 0;
    }
    group.push(pack);
    bytes += pack.bytes.length;
  }
  yield joinGroup(group);
}

function joinGroup(group: readonly RecordPack[]): RecordPack {
  const [first, last] = [group[0], group[group.length - 1]];
  if (first === undefined || last === undefined) throw new Error("an empty group of packs");
  const { firstSeq, startChecksum } = first;
  const { lastSeq, endChecksum } = last;
  const bytes = group.length === 1 ? first.bytes : Buffer.concat(group.map((pack) => pack.bytes));
  return { firstSeq, lastSeq, startChecksum, endChecksum, bytes };
}
