import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AppendBatch, AppendOutcome, LogRecord } from "../../src/durable/session-log.ts";
import { appendPatiently } from "../../src/relay/append-patiently.ts";
import { BatonError, type Reason } from "../../src/session/reasons.ts";
import { recordsAfter, rejectsWith } from "../durable/log-contract.ts";

const batch: AppendBatch = { epoch: "e", expectedHead: 2, records: recordsAfter(2, 3), writers: [] };
const conflict = (records: readonly LogRecord[]): AppendOutcome => ({ kind: "conflict", records });
const unavailable = (retryAfterMs = 0) => new BatonError("LOG_UNAVAILABLE", undefined, { retryAfterMs });

/** Appends to a store that answers so, one answer after the other. */
function append(answers: readonly (AppendOutcome | Error)[], signal = new AbortController().signal) {
  const left = [...answers];
  let waits = 0;
  const outcome = appendPatiently(
    batch,
    async (given) => {
      assert.equal(given, batch, "the same batch");
      const answer = left.shift();
      if (answer === undefined) assert.fail("asked once more");
      if (answer instanceof Error) throw answer;
      return answer;
    },
    () => {
      waits += 1;
    },
    signal,
  );
  return { outcome, left, waits: () => waits };
}

describe("a batch whose outcome is not known", () => {
  const [first, second, third] = batch.records;
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  const other = { ...first, frame: Uint8Array.from(first.frame, (byte) => byte ^ 1) };
  const behind = recordsAfter(5, 2);

  for (const [what, records, after] of [
    ["it alone", batch.records, []],
    ["it, and others behind it", [...batch.records, ...behind], behind],
    ["its beginning, where the answer is cut short", [first], []],
  ] as const) {
    test(`SF2 is found by ${what}`, async () => {
      assert.deepEqual(await append([unavailable(), conflict(records)]).outcome, { kind: "found", after });
    });
  }

  for (const [what, records] of [
    ["nothing is told of what stands there", []],
    ["another record of the same length stands there", [other]],
    ["a longer one does", [{ ...first, frame: new Uint8Array([...first.frame, 0]) }]],
    ["it begins as the batch and goes on otherwise", [first, { ...other, seq: second.seq }]],
  ] as const) {
    test(`SF3 is not found where ${what}`, async () => {
      assert.deepEqual(await append([unavailable(), conflict(records)]).outcome, conflict(records));
    });
  }

  test("SF2 what stands there at the first attempt and is the batch was written by it: on the way it was doubled", async () => {
    assert.deepEqual(await append([conflict(batch.records)]).outcome, { kind: "found", after: [] });
    assert.equal((await append([conflict(batch.records.slice(1))]).outcome).kind, "conflict");
  });

  test("SF1 its room is told once that it waits", async () => {
    const { outcome, waits } = append([unavailable(), unavailable(), { kind: "appended" }]);
    assert.deepEqual(await outcome, { kind: "appended" });
    assert.equal(waits(), 1);
  });

  test("SF1 a wait longer than the patience is none; nor is there one for what is no outage", async () => {
    for (const [error, reason] of [
      [unavailable(5_001), "LOG_UNAVAILABLE"],
      [new BatonError("LOG_FULL"), "LOG_FULL"],
      [new BatonError("LOG_DAMAGED"), "LOG_DAMAGED"],
    ] as const satisfies readonly (readonly [Error, Reason])[]) {
      await rejectsWith(append([error]).outcome, reason);
    }
  });

  test("SF1 the end of its room ends the wait", async () => {
    const room = new AbortController();
    const { outcome, left } = append([unavailable(4_900), { kind: "appended" }], room.signal);
    setTimeout(() => room.abort(), 20);
    const late = new Promise((resolve) => setTimeout(resolve, 4_000, "late").unref());
    const ended = await Promise.race([outcome.catch((error: unknown) => error), late]);
    assert.ok(ended instanceof BatonError && ended.reason === "LOG_UNAVAILABLE", String(ended));
    assert.equal(left.length, 1, "and nothing more is asked");
  });
});
