import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Ring } from "../../src/relay/ring.ts";

const entry = (seq: number, length: number) => ({
  frame: new Uint8Array(length).fill(seq),
  payload: "edit" as const,
  seq,
  head: seq,
  sender: "a",
  clientSeq: seq,
  timestampMs: 0,
  version: 0,
});

/** Frames of 1 to 2,000 bytes, over many segments. */
function filled(count: number): Ring {
  const ring = new Ring(1024 * 1024);
  for (let seq = 1; seq <= count; seq++) ring.append(entry(seq, 1 + ((seq * 619) % 2000)));
  return ring;
}

describe("runs of the ring", () => {
  test("are the frames of their entries behind one another, whatever part is asked for", () => {
    const ring = filled(200);
    for (const [from, to] of [
      [0, 200],
      [0, 1],
      [3, 4],
      [17, 150],
      [199, 200],
    ] as const) {
      const runs = ring.runs(from, to);
      let at = from;
      for (const { bytes, to: next, head } of runs) {
        const frames: number[] = [];
        for (; at < next; at++) frames.push(...ring.entry(at).frame);
        assert.deepEqual([...bytes], frames);
        assert.equal(head, ring.entry(next - 1).head);
      }
      assert.equal(at, to);
      assert.ok(runs.length < Math.max(2, (to - from) / 2));
    }
  });

  test("tell what they hold, by payload, whatever part is asked for", () => {
    const ring = new Ring(1024 * 1024);
    const payloads = ["edit", "cursor", "edit", "custom", "cursor", "edit"] as const;
    for (const [index, payload] of payloads.entries()) ring.append({ ...entry(index + 1, 10 + index), payload });
    const told = (from: number, to: number) => ring.runs(from, to).flatMap(({ contents }) => contents);
    assert.deepEqual(told(0, 6), [
      { payload: "edit", messages: 3, bytes: 10 + 12 + 15 },
      { payload: "cursor", messages: 2, bytes: 11 + 14 },
      { payload: "custom", messages: 1, bytes: 13 },
    ]);
    assert.deepEqual(told(1, 3), [
      { payload: "cursor", messages: 1, bytes: 11 },
      { payload: "edit", messages: 1, bytes: 12 },
    ]);
    const many = filled(200);
    const sum = many.runs(17, 150).flatMap(({ contents }) => contents);
    assert.equal(
      sum.reduce((all, { messages }) => all + messages, 0),
      133,
    );
    assert.equal(
      sum.reduce((all, { bytes }) => all + bytes, 0),
      many.runs(17, 150).reduce((all, { bytes }) => all + bytes.length, 0),
    );
  });

  test("end where they were asked to, though the segment has more", () => {
    const ring = new Ring(1024);
    for (let seq = 1; seq <= 4; seq++) ring.append(entry(seq, 10));
    assert.deepEqual(
      ring.runs(1, 3).map(({ bytes, to, head }) => [[...bytes], to, head]),
      [[[...new Array(10).fill(2), ...new Array(10).fill(3)], 3, 3]],
    );
  });
});
