import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createReadiness } from "../../src/relay/readiness.ts";

describe("an instance's readiness", () => {
  test("HR4 whoever waits hears of the next change, and of no other", async () => {
    const readiness = createReadiness();
    const { signal } = new AbortController();
    const heard: string[] = [];
    const waits = ["one", "two"].map(async (name) => {
      await readiness.changed(signal);
      heard.push(`${name} ${readiness.current}`);
    });
    readiness.become("starting");
    await Promise.resolve();
    assert.deepEqual(heard, []);
    readiness.become("ready");
    await Promise.all(waits);
    readiness.become("draining");
    await Promise.resolve();
    assert.deepEqual(heard, ["one ready", "two ready"]);
  });

  test("HR6 a wait ends with its signal, also one that has aborted before", async () => {
    const readiness = createReadiness();
    const life = new AbortController();
    const waits = readiness.changed(life.signal);
    life.abort();
    await waits;
    await readiness.changed(life.signal);
    assert.equal(readiness.current, "starting");
  });
});
