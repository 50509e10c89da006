import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { chainChecksum, chainStart } from "../../src/durable/chain.ts";
import { packRecords, unpackRecords } from "../../src/durable/packed-records.ts";
import type { LogRecord } from "../../src/durable/session-log.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { bytes, plain, recordsAfter } from "./log-contract.ts";

const isDamage = (error: unknown) => error instanceof BatonError && error.reason === "LOG_DAMAGED";

describe("chain of records", () => {
  test("LG18 a checksum is the CRC-32 of its predecessor's, the seq, the payload hash and the frame", () => {
    assert.equal(crc32(bytes("123456789")), 0xcbf43926, "the check value of CRC-32/ISO-HDLC");
    const header = Buffer.alloc(16);
    header.writeDoubleBE(7, 0);
    header.writeDoubleBE(2 ** 53 - 1, 8);
    const record = { seq: 7, payloadHash: 2 ** 53 - 1, frame: bytes("frame") };
    const whole = Buffer.concat([header, record.frame]);
    assert.equal(chainChecksum(chainStart, record), crc32(whole));
    assert.equal(chainChecksum(0xdeadbeef, record), crc32(whole, 0xdeadbeef));
  });

  test("LG18 packed records come back as they were, and packs join by their bytes", () => {
    const [one, two] = [recordsAfter(0, 5), recordsAfter(5, 3)];
    const first = packRecords(one, chainStart);
    const second = packRecords(two, first.endChecksum);
    assert.deepEqual([second.firstSeq, second.lastSeq, second.startChecksum], [6, 8, first.endChecksum]);
    const joined = Buffer.concat([first.bytes, second.bytes]);
    const back = [...unpackRecords(joined, 1, chainStart)];
    assert.deepEqual(plain(back), plain([...one, ...two]));
    assert.equal(back.at(-1)?.checksum, second.endChecksum);
  });

  test("LG18 every single bit that flips is found, and what stands before it still reads", () => {
    const records = recordsAfter(0, 4);
    const { bytes: packed } = packRecords(records, chainStart);
    const sizeOfOne = packed.length / records.length;
    for (let bit = 0; bit < packed.length * 8; bit++) {
      const damaged = packed.slice();
      const at = bit >> 3;
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (bit & 7));
      const read: LogRecord[] = [];
      assert.throws(() => {
        for (const record of unpackRecords(damaged, 1, chainStart)) read.push(record);
      }, isDamage);
      assert.deepEqual(plain(read), plain(records.slice(0, Math.floor(at / sizeOfOne))), `bit ${bit}`);
    }
  });

  test("LG18 a pack that is cut, moved to another seq, or put behind another record does not read", () => {
    const { bytes: packed, endChecksum } = packRecords(recordsAfter(0, 2), chainStart);
    const reads = (data: Uint8Array, firstSeq: number, start: number) => [...unpackRecords(data, firstSeq, start)];
    for (let length = 1; length < packed.length; length++) {
      if (length === packed.length / 2) continue; // a whole record
      assert.throws(() => reads(packed.subarray(0, length), 1, chainStart), isDamage);
    }
    assert.throws(() => reads(packed, 2, chainStart), isDamage);
    assert.throws(() => reads(packed, 1, endChecksum), isDamage);
  });
});
