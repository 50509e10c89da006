import assert from "node:assert/strict";
import { test } from "node:test";
import { Counts } from "../../../src/relay/metrics/counts.ts";
import { Histogram } from "../../../src/relay/metrics/histogram.ts";
import { Meters } from "../../../src/relay/metrics/meters.ts";

test("MT6 a bucket has what is at most its bound, and the last what is above all", () => {
  const histogram = new Histogram([1, 2, 4]);
  for (const value of [0, 1, 1.5, 2, 3, 4, 5, 100]) histogram.observe(value);
  assert.deepEqual(histogram.counts, [2, 2, 2, 2]);
  assert.equal(histogram.sum, 116.5);
});

test("MT6 bounds ascend", () => {
  const { appendSeconds, batchRecords, batchBytes, fanoutSeconds } = new Meters();
  for (const { bounds, counts } of [appendSeconds, batchRecords, batchBytes, fanoutSeconds]) {
    assert.deepEqual(
      [...bounds].sort((a, b) => a - b),
      bounds,
    );
    assert.equal(counts.length, bounds.length + 1);
  }
});

test("MT7 a count has each of its names from the start", () => {
  const counts = new Counts(["a", "b"]);
  counts.add("b");
  counts.add("b");
  assert.deepEqual(
    [...counts.entries],
    [
      ["a", 0],
      ["b", 2],
    ],
  );
});

test("MT7 a fault of an unknown reason makes no series", () => {
  const meters = new Meters();
  const before = [...meters.faults.entries].length;
  meters.fault("SOMETHING_NEW");
  meters.fault(undefined);
  meters.fault("RATE_LIMITED");
  const after = [...meters.faults.entries];
  assert.equal(after.length, before);
  assert.deepEqual(
    after.filter(([, count]) => count > 0),
    [["RATE_LIMITED", 1]],
  );
});
