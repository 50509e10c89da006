import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Ring } from "../../src/relay/ring.ts";
import { createRandom } from "../support/random.ts";

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

describe("what the ring was sent of", () => {
  /** Beside a ring, the sums that it should come to. */
  function counting(maxBytes: number) {
    const counted = new Map<string, { messages: number; bytes: number }>();
    const expected = new Map<string, { messages: number; bytes: number }>();
    const add = (sums: typeof counted) => (payload: string, messages: number, bytes: number) => {
      const sum = sums.get(payload) ?? { messages: 0, bytes: 0 };
      sums.set(payload, { messages: sum.messages + messages, bytes: sum.bytes + bytes });
    };
    const ring = new Ring(maxBytes, add(counted));
    const send = (from: number, to: number) => {
      for (let at = from; at < to; at++) add(expected)(ring.entry(at).payload, 1, ring.entry(at).frame.length);
      ring.sent(from, to);
    };
    const sums = (of: typeof counted) => Object.fromEntries([...of].sort());
    return { ring, send, counted: () => sums(counted), expected: () => sums(expected) };
  }

  test("MT5 is counted once, by payload, when it is asked for", () => {
    const { ring, send, counted, expected } = counting(1 << 20);
    for (const [index, payload] of (["edit", "cursor", "edit", "custom"] as const).entries()) {
      ring.append({ ...entry(index + 1, 10 + index), payload });
    }
    send(0, 4);
    send(0, 4);
    send(1, 3);
    send(3, 4);
    assert.deepEqual(counted(), {});
    ring.countSent();
    assert.deepEqual(counted(), {
      cursor: { messages: 3, bytes: 33 },
      custom: { messages: 3, bytes: 39 },
      edit: { messages: 5, bytes: 20 + 36 },
    });
    ring.countSent();
    assert.deepEqual(counted(), expected());
  });

  test("MT5 comes to the same, whoever is where, and whatever is dropped meanwhile", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = createRandom(seed);
      const { ring, send, counted, expected } = counting(4_000);
      const payloads = ["edit", "comment", "custom", "cursor", "presence"] as const;
      const positions = new Array<number>(8).fill(0);
      for (let seq = 1; seq <= 400; seq++) {
        const payload = payloads[Math.floor(random() * payloads.length)] ?? "edit";
        ring.append({ ...entry(seq, 1 + Math.floor(random() * 300)), payload });
        for (const [reader, position] of positions.entries()) {
          if (random() < 0.6) continue;
          const from = Math.max(position, ring.first);
          const to = from + Math.ceil(random() * (ring.end - from));
          if (to > from) send(from, to);
          positions[reader] = to;
        }
        if (random() < 0.02) {
          ring.countSent();
          assert.deepEqual(counted(), expected(), `seed ${seed}`);
        }
      }
      ring.countSent();
      assert.ok(Object.keys(counted()).length === 5);
      assert.deepEqual(counted(), expected(), `seed ${seed}`);
    }
  });

  test("MT5 of a piece whose beginning is dropped before it was sent, the rest counts", () => {
    const { ring, counted } = counting(100);
    for (let seq = 1; seq <= 10; seq++) ring.append(entry(seq, 30));
    assert.equal(ring.first, 7);
    ring.sent(2, 5);
    ring.sent(5, 9);
    ring.countSent();
    assert.deepEqual(counted(), { edit: { messages: 2, bytes: 60 } });
  });
});
