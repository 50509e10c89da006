import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LogFollower } from "../../src/client/log-follower.ts";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";

const record = (seq: number): SessionMessage => create(SessionMessageSchema, { seq: BigInt(seq) });
const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A log in memory, and a follower of it. */
function follow({ from = 0, to = 0, head = 0, first = 1 } = {}) {
  const told: number[] = [];
  const asked: (readonly [number, number])[] = [];
  const log = { head, first, isReachable: true };
  const follower = new LogFollower({
    from,
    to,
    async *read(start, end) {
      asked.push([start, end]);
      if (!log.isReachable) return;
      const begin = start === 0 ? log.first : start;
      if (begin < log.first) throw new RangeError("trimmed");
      for (let seq = begin; seq <= Math.min(end === 0 ? log.head : end, log.head); seq++) {
        await Promise.resolve();
        yield record(seq);
      }
    },
    async record({ seq }) {
      await Promise.resolve();
      told.push(Number(seq));
    },
  });
  return {
    told,
    asked,
    log,
    follower,
    hears: (...seqs: readonly number[]) => {
      for (const seq of seqs) follower.heard({ kind: "record", message: record(seq) });
    },
    joins: (seq: number, epoch = "e") => follower.heard({ kind: "head", seq, epoch }),
    settled: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

describe("following a log", () => {
  test("CL35 what is there, then what comes, each once and in order", async () => {
    const f = follow({ head: 5 });
    f.joins(5);
    f.hears(6, 7);
    f.log.head = 7;
    await f.settled();
    assert.deepEqual(f.told, count(1, 7));
  });

  test("CL35 records that came twice, or were there already, are told once", async () => {
    const f = follow({ head: 3 });
    f.joins(3);
    await f.settled();
    f.hears(2, 3, 4, 4, 5);
    f.log.head = 5;
    await f.settled();
    f.joins(5);
    await f.settled();
    assert.deepEqual(f.told, count(1, 5));
  });

  test("CL35 a gap is read from the log, and only the gap", async () => {
    const f = follow({ head: 2 });
    f.joins(2);
    await f.settled();
    f.log.head = 9;
    f.hears(8, 9);
    await f.settled();
    assert.deepEqual(f.told, count(1, 9));
    assert.deepEqual(f.asked, [
      [0, 2],
      [3, 7],
    ]);
  });

  test("CL35 what cannot be read now is read after the next Welcome", async () => {
    const f = follow({ head: 4 });
    f.joins(2);
    await f.settled();
    f.log.isReachable = false;
    f.joins(4);
    await f.settled();
    assert.deepEqual(f.told, [1, 2]);
    f.log.isReachable = true;
    f.joins(4);
    await f.settled();
    assert.deepEqual(f.told, count(1, 4));
  });

  test("CL35 more than is held comes from the log", async () => {
    const f = follow({ head: 10_000, from: 1 });
    f.hears(...count(1, 10_000));
    f.joins(10_000);
    while (f.told.length < 10_000) await f.settled();
    assert.deepEqual(f.told, count(1, 10_000));
    assert.deepEqual(f.asked, [[4_098, 10_000]]);
  });

  test("CL34 ends after the last one wanted", async () => {
    const f = follow({ head: 9, from: 3, to: 6 });
    f.joins(9);
    assert.equal(await f.follower.finished, "end");
    assert.deepEqual(f.told, count(3, 6));
  });

  test("CL45 another epoch is another log: it ends, and says so", async () => {
    const f = follow({ head: 3 });
    f.joins(3, "one");
    await f.settled();
    f.joins(3, "two");
    f.hears(4);
    assert.equal(await f.follower.finished, "epoch-changed");
    assert.deepEqual(f.told, count(1, 3));
  });

  test("CL45 a record that is no longer kept is no silent gap: it ends with the log's own words", async () => {
    const f = follow({ head: 9, first: 5, from: 2 });
    f.joins(9);
    await assert.rejects(f.follower.finished, /trimmed/);
    assert.deepEqual(f.told, []);
  });
});
