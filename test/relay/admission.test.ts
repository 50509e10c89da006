import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Admission } from "../../src/relay/admission.ts";
import { BatonError } from "../../src/session/reasons.ts";

const { signal: never } = new AbortController();
const turn = () => new Promise((resolve) => setImmediate(resolve));
const reasonOf = (run: Promise<unknown>) =>
  run.then(
    () => "ran",
    (error: unknown) => (error instanceof BatonError ? error.reason : String(error)),
  );

/** Work that ends when it is told to, and says in which order it began. */
function createWork(admission: Admission) {
  const begun: string[] = [];
  const finish = new Map<string, () => void>();
  const run = (name: string, signal = never) =>
    reasonOf(
      admission.run(signal, async () => {
        begun.push(name);
        await new Promise<void>((resolve) => finish.set(name, resolve));
      }),
    );
  return { begun, run, finish: (name: string) => finish.get(name)?.() };
}

describe("an admission", () => {
  test("LM10 runs so many at once, the others in the order in which they came, and nobody before those who wait", async () => {
    const admission = new Admission({ joins: 2, joinsWaiting: 10 });
    const { begun, run, finish } = createWork(admission);
    const all = ["a", "b", "c", "d"].map((name) => run(name));
    await turn();
    assert.deepEqual(begun, ["a", "b"]);
    finish("b");
    all.push(run("e"));
    await turn();
    assert.deepEqual(begun, ["a", "b", "c"]);
    for (const name of ["a", "c", "d", "e"]) {
      finish(name);
      await turn();
    }
    assert.deepEqual(begun, ["a", "b", "c", "d", "e"]);
    assert.deepEqual(
      await Promise.all(all),
      Array.from({ length: 5 }, () => "ran"),
    );
    assert.deepEqual(admission.load, { running: 0, waiting: 0 });
  });

  test("LM10 what fails gives its place on", async () => {
    const admission = new Admission({ joins: 1, joinsWaiting: 1 });
    const failing = reasonOf(admission.run(never, () => Promise.reject(new BatonError("LOG_UNAVAILABLE"))));
    const next = reasonOf(admission.run(never, () => Promise.resolve()));
    assert.deepEqual([await failing, await next], ["LOG_UNAVAILABLE", "ran"]);
    assert.deepEqual(admission.load, { running: 0, waiting: 0 });
  });

  test("LM10 who finds too many waiting is BUSY, until times that are spread", async () => {
    const admission = new Admission({ joins: 1, joinsWaiting: 1 });
    const { run, finish } = createWork(admission);
    const taken = [run("a"), run("b")];
    const times: number[] = [];
    for (let n = 0; n < 100; n++) {
      try {
        await admission.run(never, () => Promise.resolve());
      } catch (error) {
        assert.ok(error instanceof BatonError && error.reason === "BUSY");
        times.push(error.retryAfterMs);
      }
    }
    assert.equal(times.length, 100);
    assert.ok(Math.min(...times) >= 1000 && Math.max(...times) < 11_000);
    // Fifty of a hundred in any half of the time, give or take what 1 in 10^9 runs would exceed.
    const early = times.filter((ms) => ms < 6000).length;
    assert.ok(early > 15 && early < 85, String(early));
    finish("a");
    await turn();
    finish("b");
    assert.deepEqual(await Promise.all(taken), ["ran", "ran"]);
  });

  test("LM10 nobody waits whose client is gone, and its place in the line is free", async () => {
    const admission = new Admission({ joins: 1, joinsWaiting: 1 });
    const { begun, run, finish } = createWork(admission);
    const first = run("a");
    const client = new AbortController();
    const gone = run("gone", client.signal);
    await turn();
    client.abort();
    assert.equal(await gone, "CLIENT_SILENT");
    assert.equal(await run("gone already", client.signal), "CLIENT_SILENT");
    const second = run("b");
    finish("a");
    await turn();
    finish("b");
    assert.deepEqual([await first, await second], ["ran", "ran"]);
    assert.deepEqual(begun, ["a", "b"]);
  });

  test("LM10 when it is closed, nobody waits any longer, and nobody comes in", async () => {
    const admission = new Admission({ joins: 1, joinsWaiting: 5 });
    const { begun, run, finish } = createWork(admission);
    const running = run("a");
    const waiting = [run("b"), run("c")];
    await turn();
    admission.close(new BatonError("DRAIN"));
    assert.deepEqual(await Promise.all(waiting), ["DRAIN", "DRAIN"]);
    assert.equal(await run("d"), "DRAIN");
    finish("a");
    assert.equal(await running, "ran");
    assert.deepEqual(begun, ["a"]);
    assert.deepEqual(admission.load, { running: 0, waiting: 0 });
  });
});
