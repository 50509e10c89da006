import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { untilAborted } from "../../src/relay/until-aborted.ts";

async function* numbers(count: number): AsyncGenerator<number> {
  for (let at = 0; at < count; at++) yield at;
}

/** Gives one, and then is silent for good. */
async function* silent(): AsyncGenerator<number> {
  yield 0;
  await new Promise(() => undefined);
}

/** How many listen to the signal. */
function countListeners(signal: AbortSignal) {
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (type: string, listener: EventListener, options?: AddEventListenerOptions) => {
    listeners.add(listener);
    addEventListener.call(signal, type, listener, options);
  };
  signal.removeEventListener = (type: string, listener: EventListener) => {
    listeners.delete(listener);
    removeEventListener.call(signal, type, listener);
  };
  return listeners;
}

describe("what is read until a signal aborts", () => {
  test("HR12 is the same as without one, and leaves no listener behind", async () => {
    const { signal } = new AbortController();
    const listeners = countListeners(signal);
    const seen: number[] = [];
    let most = 0;
    for await (const number of untilAborted(numbers(100), signal)) {
      seen.push(number);
      most = Math.max(most, listeners.size);
    }
    assert.deepEqual(seen, await Array.fromAsync(numbers(100)));
    assert.ok(most <= 1, `${most} listeners at once`);
    assert.equal(listeners.size, 0);
  });

  test("HR12 ends with the signal's reason while nothing comes", async () => {
    const life = new AbortController();
    const reason = new Error("over");
    const items = untilAborted(silent(), life.signal);
    assert.deepEqual(await items.next(), { done: false, value: 0 });
    const next = items.next();
    life.abort(reason);
    await assert.rejects(next, reason);
    assert.deepEqual(await items.next(), { done: true, value: undefined });
  });

  test("HR12 ends at once where the signal has aborted already", async () => {
    const reason = new Error("over");
    await assert.rejects(untilAborted(silent(), AbortSignal.abort(reason)).next(), reason);
  });

  test("HR12 fails as its source does", async () => {
    const failure = new Error("broken");
    async function* broken(): AsyncGenerator<number> {
      yield 0;
      throw failure;
    }
    const items = untilAborted(broken(), new AbortController().signal);
    await items.next();
    await assert.rejects(items.next(), failure);
  });
});
