import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { startRelay } from "./harness.ts";

/** A log whose appends wait until they are let go. */
function holdAppends(log: SessionLog) {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const held: SessionLog = {
    ...log,
    async append(sessionId, batch) {
      await released;
      return await log.append(sessionId, batch);
    },
  };
  return { log: held, release };
}

describe("what one client may take up", () => {
  test("LM3 what is unanswered is bounded, and one message of any size is taken", async () => {
    const { log, release } = holdAppends(createMemoryLog(Date.now));
    const relay = await startRelay({ log, limits: { unackedBytes: 1000 } });
    try {
      const alice = await relay.join();
      const message = { case: "custom", value: { data: new Uint8Array(2000) } } as const;
      alice.send(message, { clientSeq: 1n });
      alice.send({ case: "custom", value: {} }, { clientSeq: 2n });
      const fault = await alice.take("fault");
      assert.deepEqual([fault.reason, fault.action, fault.clientSeq], ["UNACKED_LIMIT", Action.RETRY, 2n]);
      assert.ok(fault.retryAfterMs > 0n);
      release();
      assert.equal((await alice.take("ack")).clientSeq, 1n);
      alice.send(message, { clientSeq: 2n });
      assert.equal((await alice.take("ack")).clientSeq, 2n);
    } finally {
      release();
      await relay.stop();
    }
  });

  test("LM4 a user has so many streams on one instance, and one more ends USER_LIMIT", async () => {
    const relay = await startRelay({ limits: { userStreams: 2 } });
    try {
      for (const session of ["one", "two"]) await (await relay.join({ session, clientId: "a" })).take("welcome");
      const third = await relay.join({ session: "three" });
      const { fault } = await third.ended;
      assert.deepEqual([fault?.reason, fault?.action], ["USER_LIMIT", Action.RECONNECT]);
      assert.ok((fault?.retryAfterMs ?? 0n) > 0n);
      const again = await relay.join({ session: "two", clientId: "a" });
      await again.take("welcome");
      const other = await relay.join({ session: "three", as: "bob" });
      await other.take("welcome");
    } finally {
      await relay.stop();
    }
  });
});
