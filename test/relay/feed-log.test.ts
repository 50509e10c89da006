import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { LogRecord } from "../../src/durable/session-log.ts";
import { readFromLog } from "../../src/relay/feed-log.ts";
import { Meters } from "../../src/relay/metrics/meters.ts";
import { ReaderFrames } from "../../src/relay/reader-frames.ts";
import { Ring } from "../../src/relay/ring.ts";
import { BatonError } from "../../src/session/reasons.ts";

const never = () => assert.fail("not asked for");

async function read(records: Promise<readonly LogRecord[]>) {
  const feeds = { readLog: () => records, conflated: never, encode: never };
  const source = { ring: new Ring(0), meters: new Meters(), head: 9, ...feeds };
  const frames = new ReaderFrames({ form: "binary", key: "", ackFrom: Number.POSITIVE_INFINITY, source });
  return await readFromLog(source, frames, 7);
}

const reasonIs = (reason: string) => (error: unknown) => error instanceof BatonError && error.reason === reason;

describe("a reader that is fed from the log", () => {
  test("goes on behind what it was given", async () => {
    const record = (seq: number) => ({ seq, frame: Uint8Array.of(seq), payloadHash: 0 });
    const piece = await read(Promise.resolve([record(7), record(8)]));
    assert.deepEqual(piece, { bytes: Uint8Array.of(7, 8), nextSeq: 9 });
  });

  test("ends LOG_UNAVAILABLE where the log gives less than the head says", async () => {
    await assert.rejects(read(Promise.resolve([])), reasonIs("LOG_UNAVAILABLE"));
  });

  test("ends SLOW_CONSUMER where what comes next was trimmed", async () => {
    await assert.rejects(read(Promise.reject(new BatonError("SEQ_OUT_OF_RANGE"))), reasonIs("SLOW_CONSUMER"));
  });

  test("ends with the log's own error else", async () => {
    await assert.rejects(read(Promise.reject(new BatonError("LOG_DAMAGED"))), reasonIs("LOG_DAMAGED"));
  });
});
