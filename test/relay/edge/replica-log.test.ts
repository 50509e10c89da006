import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryLog } from "../../../src/durable/log-memory.ts";
import type { LogRecord } from "../../../src/durable/session-log.ts";
import { ReplicaLog } from "../../../src/relay/edge/tree/replica-log.ts";

const id = "demo";
const ann = { userId: "ann", clientId: "tab" };

const recordsOf = (from: number, to: number): LogRecord[] =>
  Array.from({ length: to - from + 1 }, (_, index) => ({
    seq: from + index,
    frame: new Uint8Array(100).fill(from + index),
    payloadHash: from + index,
  }));

/** A log with ten records, and how often it was read. */
async function startLog() {
  const log = createMemoryLog(Date.now);
  const { epoch, generation } = await log.claim(id, ann, "e");
  const append = async (from: number, to: number) => {
    const batch = { epoch, expectedHead: from - 1, records: recordsOf(from, to) };
    await log.append(id, { ...batch, writers: [{ ...ann, generation, lastClientSeq: to }] });
  };
  await append(1, 10);
  const reads = { count: 0 };
  const counted: typeof log = {
    ...log,
    read(...asked) {
      reads.count += 1;
      return log.read(...asked);
    },
  };
  return { epoch, append, reads, log: counted };
}

const seqs = (records: readonly LogRecord[]) => records.map(({ seq }) => seq);

test("RP11 a replica reads what it was told from its memory, and all before it from its session", async () => {
  const { epoch, append, reads, log } = await startLog();
  const replica = new ReplicaLog(log, 500);
  const read = async (from: number, to: number) => seqs(await replica.read(id, from, to, 10_000, epoch));
  await append(11, 13);
  replica.learn(epoch, 13, recordsOf(11, 13));
  assert.deepEqual(await read(11, 99), [11, 12, 13]);
  assert.equal(reads.count, 0);
  assert.deepEqual(await read(9, 13), [9, 10, 11, 12, 13]);
  assert.equal(reads.count, 1);
  await append(14, 16);
  replica.learn(epoch, 16, recordsOf(14, 16));
  assert.deepEqual(await read(12, 16), [12, 13, 14, 15, 16]);
  assert.equal(reads.count, 1);
  // Five frames of 100 bytes are what it may hold.
  assert.deepEqual(await read(11, 16), [11, 12, 13, 14, 15, 16]);
  assert.equal(reads.count, 2);
});

test("RP11 a replica that knows that more is in the log, or of another history, does not answer from memory", async () => {
  const { epoch, append, reads, log } = await startLog();
  const replica = new ReplicaLog(log, 10_000);
  await append(11, 12);
  replica.learn(epoch, 11, recordsOf(11, 11));
  await replica.describe(id);
  assert.deepEqual(seqs(await replica.read(id, 11, 99, 10_000, epoch)), [11, 12]);
  assert.equal(reads.count, 1);
  replica.learn("another", 5, []);
  assert.deepEqual(seqs(await replica.read(id, 11, 12, 10_000)), [11, 12]);
  assert.equal(reads.count, 2);
});
