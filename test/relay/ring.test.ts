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

  test("end where they were asked to, though the segment has more", () => {
    const ring = new Ring(1024);
    for (let seq = 1; seq <= 4; seq++) ring.append(entry(seq, 10));
    assert.deepEqual(
      ring.runs(1, 3).map(({ bytes, to, head }) => [[...bytes], to, head]),
      [[[...new Array(10).fill(2), ...new Array(10).fill(3)], 3, 3]],
    );
  });
});
