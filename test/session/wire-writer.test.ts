import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { WireWriter } from "../../src/session/wire-writer.ts";

/** Around the size with which a writer begins. */
const places = Array.from({ length: 60 }, (_, index) => 1_000 + index);

const steps: Readonly<Record<string, (writer: WireWriter) => void>> = {
  "a large number": (writer) => writer.unsigned(2_047, Number.MAX_SAFE_INTEGER),
  "a number below 0": (writer) => writer.int32(1, -1),
  bytes: (writer) => writer.bytes(1, new Uint8Array(20).fill(9)),
  "a short text": (writer) => writer.string(1, "a text of some units"),
  "a text of other alphabets": (writer) => writer.string(1, "€€€€€€€€€€€€€€€€€€€€"),
  "room left out": (writer) => writer.skip(20),
  "a message within": (writer) => {
    const start = writer.begin(1);
    writer.bytes(1, new Uint8Array(20).fill(9));
    writer.end(start);
  },
  // What its length takes more is made room for when all else is there already.
  "a message within that is longer than it was thought": (writer) => {
    const start = writer.begin(1);
    writer.bytes(1, new Uint8Array(128).fill(9));
    writer.end(start);
  },
};

describe("a writer grows where it has to", () => {
  for (const [name, step] of Object.entries(steps)) {
    test(name, () => {
      const roomy = new WireWriter();
      roomy.skip(100_000);
      roomy.clear();
      step(roomy);
      const expected = roomy.copy();
      for (const place of [...places, ...places.map((at) => at - expected.length)]) {
        const writer = new WireWriter();
        writer.skip(place);
        step(writer);
        assert.deepEqual(writer.copy().subarray(place), expected, `at ${place}`);
      }
    });
  }
});
