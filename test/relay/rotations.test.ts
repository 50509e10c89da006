import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { TokenStatus_State as State } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type Stream, startRelay, type TestRelay } from "./harness.ts";

let relay: TestRelay;
beforeEach(async () => {
  relay = await startRelay({ limits: { heartbeatMs: 100_000_000 } });
});
afterEach(() => relay.stop());

const custom = { case: "custom", value: {} } as const;

async function rotate(stream: Stream, token: string) {
  stream.send({ case: "tokenRotation", value: { token } });
  return await stream.take("tokenStatus");
}

describe("a rotation", () => {
  test("TL10 to a token that ends earlier, or to one that was in force before, ends the stream with it", async () => {
    const first = await relay.token({ ttlSeconds: 600 });
    const alice = await relay.join({ token: first });
    await alice.take("welcome");
    const longer = await rotate(alice, await relay.token({ ttlSeconds: 3600 }));
    assert.equal(longer.state, State.ACCEPTED);
    const replayed = await rotate(alice, first);
    assert.equal(replayed.state, State.ACCEPTED);
    assert.ok(replayed.expiresAt < longer.expiresAt);
    relay.advance(600_000);
    alice.send(custom, { clientSeq: 1n });
    await alice.take("ack");
    relay.advance(31_000);
    assert.equal((await alice.ended).fault?.reason, "TOKEN_EXPIRED");
  });

  test("TL10 to a token that was in force before, and has ended, is refused", async () => {
    const first = await relay.token({ ttlSeconds: 60 });
    const alice = await relay.join({ token: first });
    await alice.take("welcome");
    const { expiresAt } = await rotate(alice, await relay.token({ ttlSeconds: 3600 }));
    relay.advance(90_000);
    const refused = await rotate(alice, first);
    assert.deepEqual([refused.state, refused.reason, refused.expiresAt], [State.REJECTED, "token expired", expiresAt]);
    alice.send(custom, { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
  });

  test("TL11 of which there are too many are refused as any message is, and the token in force stays", async () => {
    const limited = await startRelay({ limits: { messagesPerSecond: 10, messagesBurst: 4 } });
    try {
      const alice = await limited.join({ as: "alice" });
      const { tokenExpiresAt } = await alice.take("welcome");
      const others = await Promise.all(Array.from({ length: 40 }, () => limited.token({ sub: "mallory" })));
      for (const token of others) alice.send({ case: "tokenRotation", value: { token } });
      const fault = await alice.take("fault");
      assert.deepEqual([fault.code, fault.reason], ["resource_exhausted", "RATE_LIMITED"]);
      assert.ok(fault.retryAfterMs > 0n);
      let answered = alice.kinds().filter((kind) => kind === "tokenStatus" || kind === "fault").length;
      while (answered < others.length - 1) {
        limited.advance(20);
        await new Promise((resolve) => setTimeout(resolve, 5));
        answered = alice.kinds().filter((kind) => kind === "tokenStatus" || kind === "fault").length;
      }
      const statuses = alice.kinds().filter((kind) => kind === "tokenStatus").length;
      assert.ok(statuses >= 4 && statuses < others.length, `${statuses} were judged`);
      for (let left = statuses; left > 0; left -= 1) {
        const { state, expiresAt } = await alice.take("tokenStatus");
        assert.deepEqual([state, expiresAt], [State.REJECTED, tokenExpiresAt]);
      }
      limited.advance(1_000);
      alice.send(custom, { clientSeq: 1n });
      assert.equal((await alice.take("ack")).seq, 1n);
    } finally {
      await limited.stop();
    }
  });

  test("TL12 in the middle of what a stream says holds for what comes behind it, and for nothing before", async () => {
    const alice = await relay.join();
    await alice.take("welcome");
    alice.send(custom, { clientSeq: 1n });
    alice.send(custom, { clientSeq: 2n });
    alice.send({ case: "tokenRotation", value: { token: await relay.token({ scope: "session:read" }) } });
    alice.send(custom, { clientSeq: 3n });
    alice.send({ case: "tokenRotation", value: { token: await relay.token({ scope: "session:custom" }) } });
    alice.send(custom, { clientSeq: 3n });
    assert.deepEqual([(await alice.take("ack")).seq, (await alice.take("ack")).seq], [1n, 2n]);
    const fault = await alice.take("fault");
    assert.deepEqual([fault.reason, fault.clientSeq], ["SCOPE_MISSING", 3n]);
    assert.equal((await alice.take("ack")).clientSeq, 3n);
    assert.deepEqual(
      [(await alice.take("tokenStatus")).scopes, (await alice.take("tokenStatus")).scopes],
      [["session:read"], ["session:custom", "session:read"]],
    );
  });

  test("TL12 in the middle of a Publish likewise: its replies end at what is no longer allowed", async () => {
    const client = relay.client();
    const headers = { authorization: `Bearer ${await relay.token()}` };
    const abort = new AbortController();
    const frames = client.subscribe({ sessionId: "demo" }, { headers, signal: abort.signal })[Symbol.asyncIterator]();
    let resumeToken = "";
    while (resumeToken === "") {
      const next = await frames.next();
      if (next.done === true) throw new Error("ended");
      if (next.value.payload.case === "welcome") resumeToken = next.value.payload.value.resumeToken;
    }
    const rotation = async (token: string) => ({ payload: { case: "tokenRotation", value: { token } } }) as const;
    const messages = [
      { clientSeq: 1n, payload: custom },
      await rotation(await relay.token({ sub: "mallory" })),
      { clientSeq: 2n, payload: custom },
      await rotation(await relay.token({ scope: "session:read" })),
      { clientSeq: 3n, payload: custom },
      { clientSeq: 4n, payload: custom },
    ];
    const { replies } = await client.publish({ sessionId: "demo", resumeToken, messages }, { headers });
    assert.deepEqual(
      replies.map(({ payload }) =>
        payload.case === "tokenStatus"
          ? payload.value.state
          : payload.case === "fault"
            ? payload.value.reason
            : payload.case,
      ),
      ["ack", State.REJECTED, "ack", State.ACCEPTED, "SCOPE_MISSING"],
    );
    assert.equal((await relay.log.describe("demo"))?.head, 2);
    abort.abort();
  });
});
