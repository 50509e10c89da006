import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isResyncDue } from "../../src/relay/resync.ts";
import { Ring } from "../../src/relay/ring.ts";
import { emptyState } from "../../src/session/state.ts";

const frameBytes = 100;

/** A session whose ring holds ten records of a hundred bytes, the last of them the head. */
function session({ head = 1_000, lastCustomSeq = 0, units = 0, first = 1 }) {
  const ring = new Ring(10 * frameBytes);
  for (let seq = head - 20; seq <= head; seq++) {
    const place = { seq, head: seq, sender: "", clientSeq: 1, timestampMs: 0, version: 0 };
    ring.append({ frame: new Uint8Array(frameBytes), payload: "edit", ...place });
  }
  return { state: { ...emptyState("demo", "e"), head, lastCustomSeq, units }, ring, first };
}

const ringBytes = 10 * frameBytes;

describe("whether a reader is given the state in place of the records", () => {
  test("SR3 it is, once they are more than twice the ring, and more than twice the state", () => {
    const small = session({ units: 10 });
    assert.equal(isResyncDue(small, { ringBytes }, 981), false);
    assert.equal(isResyncDue(small, { ringBytes }, 980), true);
    const large = session({ units: 3_000 });
    assert.equal(isResyncDue(large, { ringBytes }, 941), false);
    assert.equal(isResyncDue(large, { ringBytes }, 940), true);
  });

  test("SR4 it is not while a custom message is among them", () => {
    assert.equal(isResyncDue(session({ lastCustomSeq: 500 }), { ringBytes }, 500), false);
    assert.equal(isResyncDue(session({ lastCustomSeq: 500 }), { ringBytes }, 501), true);
  });

  test("SR7 it is where they were trimmed, unless a custom message was among them", () => {
    assert.equal(isResyncDue(session({ first: 995 }), { ringBytes }, 995), false);
    assert.equal(isResyncDue(session({ first: 995 }), { ringBytes }, 994), true);
    assert.equal(isResyncDue(session({ first: 995, lastCustomSeq: 994 }), { ringBytes }, 994), false);
  });
});
