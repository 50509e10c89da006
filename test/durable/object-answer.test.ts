import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { locationHintOf } from "../../src/durable/location-hint.ts";
import { type Answer, answer, ask, askAgain } from "../../src/durable/object-answer.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { rejectsWith } from "./log-contract.ts";

/** As the platform marks its own failures. */
const failure = (marks: { readonly retryable?: boolean; readonly overloaded?: boolean }) =>
  Object.assign(new Error("the object is gone"), marks);

/** A call that fails so, one after the other, and then answers. */
function callOf(...failures: Error[]) {
  const made = { calls: 0 };
  const call = async (): Promise<Answer<string>> => {
    made.calls += 1;
    const next = failures.shift();
    if (next !== undefined) throw next;
    return { kind: "answered", value: "yes" };
  };
  return { made, call };
}

describe("calls between objects", () => {
  test("DB11 a refusal crosses with its reason, its words and its time", async () => {
    const refusal = new BatonError("LOG_FULL", "no space", { retryAfterMs: 70 });
    const refused = await answer(() => {
      throw refusal;
    });
    // As structured clone or JSON leaves it.
    const crossed: Answer<never> = JSON.parse(JSON.stringify(refused));
    await assert.rejects(
      ask(async () => crossed),
      ({ reason, message, retryAfterMs }: BatonError) => {
        assert.deepEqual([reason, message, retryAfterMs], ["LOG_FULL", "no space", 70]);
        return true;
      },
    );
    const newer: Answer<never> = JSON.parse(JSON.stringify({ ...refused, reason: "OF_TOMORROW" }));
    await rejectsWith(
      ask(async () => newer),
      "INTERNAL",
    );
    await assert.rejects(
      answer(() => {
        throw new TypeError("a fault of ours");
      }),
      TypeError,
    );
  });

  test("DB11 a call without an answer is LOG_UNAVAILABLE and is made once, since it may have had its effect", async () => {
    for (const marks of [{}, { retryable: true }, { retryable: false, overloaded: false }]) {
      const { made, call } = callOf(failure(marks));
      await rejectsWith(ask(call), "LOG_UNAVAILABLE");
      assert.equal(made.calls, 1);
    }
  });

  test("DB11 what only reads is asked once more where the object was replaced, and by no means where it is overloaded", async () => {
    const replaced = callOf(failure({ retryable: true }));
    assert.equal(await askAgain(replaced.call), "yes");
    assert.equal(replaced.made.calls, 2);
    const often = callOf(failure({ retryable: true }), failure({ retryable: true }));
    await rejectsWith(askAgain(often.call), "LOG_UNAVAILABLE");
    assert.equal(often.made.calls, 2);
    for (const marks of [{}, { retryable: false }, { overloaded: true }, { retryable: true, overloaded: true }]) {
      const { made, call } = callOf(failure(marks));
      await rejectsWith(askAgain(call), "overloaded" in marks ? "OVERLOADED" : "LOG_UNAVAILABLE");
      assert.equal(made.calls, 1);
    }
  });

  test("DB11 whoever asks an overloaded object is told so, and when to come back, not all at once; by no means it is asked again", async () => {
    const times = new Set<number>();
    for (const marks of [{ overloaded: true }, { retryable: true, overloaded: true }]) {
      for (let n = 0; n < 20; n++) {
        const { made, call } = callOf(failure(marks));
        const error = await ask(call).catch((error: unknown) => error);
        assert.ok(error instanceof BatonError);
        assert.deepEqual([error.reason, error.code], ["OVERLOADED", "resource_exhausted"]);
        assert.ok(error.retryAfterMs >= 2_000 && error.retryAfterMs < 4_000, String(error.retryAfterMs));
        times.add(error.retryAfterMs);
        assert.equal(made.calls, 1);
      }
    }
    assert.ok(times.size > 1);
  });
});

describe("where an object is made", () => {
  test("DB14 near its first participant, as far as the request tells", () => {
    const places = [
      [{ continent: "NA", country: "US", longitude: "-122.4" }, "wnam"],
      [{ continent: "NA", country: "US", longitude: "-74.0" }, "enam"],
      [{ continent: "NA", country: "MX" }, "enam"],
      [{ continent: "SA", country: "BR", longitude: "-46.6" }, "sam"],
      [{ continent: "EU", country: "PT", longitude: "-9.1" }, "weur"],
      [{ continent: "EU", country: "PL", longitude: "21.0" }, "eeur"],
      [{ continent: "EU" }, "weur"],
      [{ continent: "AS", country: "JP", longitude: "139.7" }, "apac"],
      [{ continent: "AS", country: "AE", longitude: "55.3" }, "me"],
      [{ continent: "AF", country: "EG", longitude: "31.2" }, "me"],
      [{ continent: "AF", country: "KE", longitude: "36.8" }, "afr"],
      [{ continent: "OC", country: "AU", longitude: "151.2" }, "oc"],
      [{ continent: "AN" }, undefined],
      [{}, undefined],
    ] as const;
    for (const [place, hint] of places) assert.equal(locationHintOf(place), hint, JSON.stringify(place));
  });
});
