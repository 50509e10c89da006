import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createSocketInbound } from "../../src/relay/wire/socket-inbound.ts";
import { SocketQueue } from "../../src/relay/wire/socket-queue.ts";
import { BatonError } from "../../src/session/reasons.ts";

const options = { maxMessageBytes: 100_000, maxWaitingBytes: 300_000 };

const reasonOf = (take: () => unknown) => {
  try {
    take();
    return undefined;
  } catch (error) {
    return error instanceof BatonError ? error.reason : "another error";
  }
};

function pausable() {
  const told: string[] = [];
  return { told, pause: () => void told.push("pause"), resume: () => void told.push("resume") };
}

describe("what waits on a socket", () => {
  test("WK12 it is given out in order, and a socket that can be held back is, until all is taken", () => {
    const socket = pausable();
    const queue = new SocketQueue(socket, options);
    queue.push("a");
    assert.deepEqual(socket.told, []);
    const large = new Uint8Array(70_000);
    for (let n = 0; n < 20; n++) queue.push(large);
    assert.deepEqual(socket.told, ["pause"]);
    assert.equal(queue.take(), "a");
    for (let n = 0; n < 19; n++) assert.equal(queue.take(), large);
    assert.deepEqual(socket.told, ["pause"]);
    assert.equal(queue.take(), large);
    assert.deepEqual(socket.told, ["pause", "resume"]);
    assert.equal(queue.take(), undefined);
    assert.ok(queue.isEmpty);
  });

  test("WK12 one that cannot is sent away RATE_LIMITED, behind what it was in time with", () => {
    const queue = new SocketQueue({}, options);
    for (let n = 0; n < 10; n++) queue.push(new Uint8Array(70_000).fill(n));
    for (let n = 0; n < 4; n++) assert.deepEqual(queue.take(), new Uint8Array(70_000).fill(n));
    assert.equal(
      reasonOf(() => queue.take()),
      "RATE_LIMITED",
    );
  });

  test("WK12 many small messages count for more than their bytes", () => {
    const queue = new SocketQueue({}, options);
    let pushed = 0;
    for (; pushed < 10_000; pushed++) queue.push("{}");
    let taken = 0;
    while (reasonOf(() => queue.take()) === undefined) taken += 1;
    assert.ok(taken < 5_000 && taken > 1_000, `${taken} waited`);
  });

  test("WK7 what is larger than a runtime should have taken is MESSAGE_TOO_LARGE, in its turn", () => {
    for (const message of [new Uint8Array(200_001), "x".repeat(200_001)]) {
      const queue = new SocketQueue({}, options);
      queue.push("a");
      queue.push(message);
      queue.push("b");
      assert.equal(queue.take(), "a");
      for (let again = 0; again < 2; again++) {
        assert.equal(
          reasonOf(() => queue.take()),
          "MESSAGE_TOO_LARGE",
        );
      }
    }
    const queue = new SocketQueue({}, options);
    queue.push("x".repeat(200_000));
    assert.equal(
      reasonOf(() => queue.take()),
      undefined,
    );
  });

  test("WK6 what comes behind the end is thrown away, and the socket is not held back for it", async () => {
    const socket = pausable();
    const queue = new SocketQueue(socket, options);
    for (let n = 0; n < 3; n++) queue.push(new Uint8Array(70_000));
    const changed = queue.changed();
    queue.finish();
    await changed;
    queue.push("late");
    assert.equal(queue.take(), undefined);
    assert.deepEqual(socket.told, ["pause", "resume"]);
  });

  test("WK10 a socket that has closed takes no more, and what waits can be taken", async () => {
    const queue = new SocketQueue({}, options);
    queue.push("a");
    const changed = queue.changed();
    queue.close();
    await changed;
    queue.push("late");
    assert.equal(queue.isClosed, true);
    assert.equal(queue.isEmpty, false);
    assert.equal(queue.take(), "a");
    assert.equal(queue.take(), undefined);
    assert.equal(queue.isEmpty, true);
  });

  test("WK8 who reads on behind a refusal is refused alike", async () => {
    const queue = new SocketQueue({}, options);
    const { signal } = new AbortController();
    const inbound = createSocketInbound(queue, {
      schema: SessionMessageSchema,
      form: "binary",
      maxMessageBytes: 100,
      signal,
      gone: assert.fail,
    });
    queue.push(Uint8Array.of(9));
    queue.push(Uint8Array.of(0, 0, 0, 0, 0));
    for (let again = 0; again < 3; again++) await assert.rejects(inbound.next(), { reason: "MALFORMED" });
  });
});
