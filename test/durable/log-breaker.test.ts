import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { withBreaker } from "../../src/durable/log-breaker.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { BatonError, type Reason } from "../../src/session/reasons.ts";
import { alice, describeSessionLog, fill, rejectsWith } from "./log-contract.ts";

describeSessionLog("memory behind a breaker", async () => {
  const log = withBreaker(createMemoryLog(Date.now));
  return { log, dispose: () => log.close() };
});

const threshold = 5;

/** A log behind a breaker, whose calls fail as a test says, and are counted. */
function createFailing() {
  const memory = createMemoryLog(Date.now);
  let failure: ((method: string) => Error | Promise<Error> | undefined) | undefined;
  const calls: string[] = [];
  const log = { ...memory };
  for (const method of ["describe", "claim", "read", "putSnapshot", "list", "revocations"] as const) {
    Object.assign(log, {
      [method]: async (...args: unknown[]) => {
        calls.push(method);
        const error = await failure?.(method);
        if (error !== undefined) throw error;
        return await Reflect.apply(memory[method], memory, args);
      },
    });
  }
  return {
    log: withBreaker(log),
    calls,
    fail(next: typeof failure) {
      failure = next;
    },
  };
}

const failWith = (reason: Reason) => () => new BatonError(reason);
const claim = (log: SessionLog) => log.claim("s", alice, "e");

/** What a refused call says: when to try again. */
async function retryAfter(call: Promise<unknown>): Promise<number> {
  const error: unknown = await call.then(
    () => assert.fail("it was answered"),
    (reason) => reason,
  );
  assert.ok(error instanceof BatonError && error.reason === "LOG_UNAVAILABLE", String(error));
  return error.retryAfterMs;
}

async function open(log: SessionLog): Promise<void> {
  for (let n = 0; n < threshold; n++) assert.equal(await retryAfter(claim(log)), 0);
}

const realNow = Date.now;
afterEach(() => {
  Date.now = realNow;
});

/** A clock that a test sets. */
function setClock(): { ms: number } {
  const clock = { ms: 1_000_000 };
  Date.now = () => clock.ms;
  return clock;
}

describe("the breaker before a log", () => {
  test("LG36 after failures in a row no call reaches the log, and each is told when the next attempt is", async () => {
    const clock = setClock();
    const { log, calls, fail } = createFailing();
    fail(failWith("LOG_UNAVAILABLE"));
    await open(log);
    assert.equal(calls.length, threshold);
    const [first, second] = [await retryAfter(claim(log)), await retryAfter(log.delete("s"))];
    assert.ok(first > 0 && second === first, `${first} ${second}`);
    clock.ms += first - 1;
    assert.equal(await retryAfter(claim(log)), 1);
    assert.equal(calls.length, threshold);
  });

  test("LG36 the waits double up to a bound; one success and all goes on", async () => {
    const clock = setClock();
    const { log, calls, fail } = createFailing();
    fail(failWith("LOG_UNAVAILABLE"));
    await open(log);
    const waits: number[] = [];
    for (let n = 0; n < 7; n++) {
      const waitMs = await retryAfter(claim(log));
      waits.push(waitMs);
      clock.ms += waitMs;
      assert.equal(await retryAfter(claim(log)), 0, "the attempt itself");
    }
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
    assert.equal(calls.length, threshold + waits.length);
    fail(undefined);
    clock.ms += 2_000;
    await claim(log);
    await claim(log);
    fail(failWith("LOG_UNAVAILABLE"));
    await open(log);
    assert.equal(await retryAfter(claim(log)), 100, "the waits begin anew");
  });

  test("LG36 while one call tries, the others are refused at once", async () => {
    const clock = setClock();
    const { log, calls, fail } = createFailing();
    fail(failWith("LOG_UNAVAILABLE"));
    await open(log);
    clock.ms += 100;
    const { promise: answer, resolve } = Promise.withResolvers<undefined>();
    fail(() => answer.then(() => new BatonError("LOG_UNAVAILABLE")));
    const attempt = claim(log);
    assert.ok((await retryAfter(claim(log))) > 0);
    assert.equal(calls.length, threshold + 1);
    resolve(undefined);
    assert.equal(await retryAfter(attempt), 0);
  });

  test("LG36 a success between failures begins the count anew", async () => {
    const { log, calls, fail } = createFailing();
    for (let n = 0; n < 3; n++) {
      fail(failWith("LOG_UNAVAILABLE"));
      for (let m = 1; m < threshold; m++) await retryAfter(claim(log));
      fail(undefined);
      await claim(log);
    }
    assert.equal(calls.length, 3 * threshold);
  });

  test("LG36 a clock that is set back does not keep it open", async () => {
    const clock = setClock();
    const { log, fail } = createFailing();
    fail(failWith("LOG_UNAVAILABLE"));
    await open(log);
    fail(undefined);
    clock.ms -= 3_600_000;
    await claim(log);
  });

  for (const reason of ["LOG_FULL", "LOG_DAMAGED", "SEQ_OUT_OF_RANGE", "INTERNAL"] as const) {
    test(`LG37 ${reason} does not count: the log answers`, async () => {
      const { log, calls, fail } = createFailing();
      fail(failWith(reason));
      for (let n = 0; n < 3 * threshold; n++) await rejectsWith(claim(log), reason);
      assert.equal(calls.length, 3 * threshold);
    });
  }

  test("LG37 conflicts and other outcomes do not count either", async () => {
    const log = withBreaker(createMemoryLog(Date.now));
    const { epoch } = await fill(log, "s", 3);
    const records = [{ seq: 1, frame: new Uint8Array(1), payloadHash: 0 }];
    for (let n = 0; n < 3 * threshold; n++) {
      assert.equal((await log.append("s", { epoch, expectedHead: 0, records, writers: [] })).kind, "conflict");
      await rejectsWith(log.append("s", { epoch, expectedHead: 3, records, writers: [] }), "INTERNAL");
    }
  });

  test("LG37 a log that cannot be written is read, and what can be read does not hide it", async () => {
    const { log, calls, fail } = createFailing();
    fail((method) => (method === "claim" ? new BatonError("LOG_UNAVAILABLE") : undefined));
    for (let n = 0; n < threshold; n++) {
      await retryAfter(claim(log));
      await log.describe("s");
    }
    assert.ok((await retryAfter(claim(log))) > 0);
    assert.ok((await retryAfter(log.putSnapshot("s", "e", { seq: 1, bytes: new Uint8Array(0) }))) > 0);
    for (const read of [log.describe("s"), log.read("s", 1, 1, 1), log.list("", "", 1), log.revocations(0, 1)])
      await read;
    assert.equal(calls.filter((method) => method === "claim").length, threshold);
    fail(failWith("LOG_UNAVAILABLE"));
    for (let n = 0; n < threshold; n++) assert.equal(await retryAfter(log.describe("s")), 0);
    assert.ok((await retryAfter(log.read("s", 1, 1, 1))) > 0);
  });
});
