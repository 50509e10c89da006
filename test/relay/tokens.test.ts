import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import {
  Fault_Action as Action,
  GoAway_Reason as GoAwayReason,
  Welcome_Outcome as Outcome,
  TokenStatus_State as State,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit, startRelay, type TestRelay } from "./harness.ts";

let relay: TestRelay;
beforeEach(async () => {
  relay = await startRelay({ limits: { heartbeatMs: 100_000_000 } });
});
afterEach(() => relay.stop());

describe("the life of a token under a stream", () => {
  test("TL2 a stream lives through three lifetimes of its token, without a gap", async () => {
    const alice = await relay.join({ token: await relay.token({ ttlSeconds: 100 }) });
    await alice.take("welcome");
    for (let life = 1; life <= 3; life++) {
      relay.advance(75_000);
      assert.equal((await alice.take("tokenStatus")).state, State.EXPIRING);
      alice.send({ case: "tokenRotation", value: { token: await relay.token({ ttlSeconds: 100 }) } });
      const accepted = await alice.take("tokenStatus");
      assert.equal(accepted.state, State.ACCEPTED);
      assert.ok(Number(accepted.expiresAt) > relay.now());
      alice.send({ case: "custom", value: {} }, { clientSeq: BigInt(life) });
      assert.equal((await alice.take("ack")).seq, BigInt(life));
    }
  });

  test("TL3 one that does not rotate ends TOKEN_EXPIRED, and resumes with a new one where it was", async () => {
    const alice = await relay.join({ token: await relay.token({ ttlSeconds: 100 }) });
    const { resumeToken } = await alice.take("welcome");
    alice.send({ case: "custom", value: {} }, { clientSeq: 1n });
    await alice.take("ack");
    relay.advance(100_000);
    alice.send({ case: "custom", value: {} }, { clientSeq: 2n });
    await alice.take("ack");
    relay.advance(31_000);
    const { fault } = await alice.ended;
    assert.deepEqual([fault?.reason, fault?.action], ["TOKEN_EXPIRED", Action.REAUTHENTICATE]);
    const back = await relay.join({ resumeToken, lastSeq: 2n });
    const welcome = await back.take("welcome");
    assert.deepEqual([welcome.outcome, welcome.lastClientSeq, welcome.headSeq], [Outcome.RESUMED, 2n, 2n]);
  });

  test("TL4 a rotation to smaller rights holds at once, and one to larger rights too", async () => {
    const alice = await relay.join();
    await alice.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "x"), { clientSeq: 1n });
    await alice.take("ack");
    const rotate = async (scope: string) => {
      alice.send({ case: "tokenRotation", value: { token: await relay.token({ scope }) } });
      return await alice.take("tokenStatus");
    };
    assert.deepEqual((await rotate("session:read")).scopes, ["session:read"]);
    alice.send(edit("a.ts", 1, 0, 0, "y"), { clientSeq: 2n });
    assert.equal((await alice.take("fault")).reason, "SCOPE_MISSING");
    await rotate("session:edit");
    alice.send(edit("a.ts", 1, 0, 0, "y"), { clientSeq: 2n });
    assert.equal((await alice.take("ack")).seq, 2n);
  });

  test("TL5 a reader that is given the right to write writes", async () => {
    const reader = await relay.join({ token: await relay.token({ scope: "session:read" }) });
    await reader.take("welcome");
    reader.send({ case: "tokenRotation", value: { token: await relay.token({ scope: "session:custom" }) } });
    assert.equal((await reader.take("tokenStatus")).state, State.ACCEPTED);
    reader.send({ case: "custom", value: {} }, { clientSeq: 1n });
    assert.equal((await reader.take("ack")).seq, 1n);
  });

  test("TL6 a refused rotation leaves the token in force: another subject, another session, expired, nonsense", async () => {
    const alice = await relay.join();
    const { tokenExpiresAt } = await alice.take("welcome");
    const refused = [
      await relay.token({ sub: "mallory" }),
      await relay.token({ sessions: ["another"] }),
      await relay.token({ ttlSeconds: 1, nowMs: relay.now() - 60_000 }),
      "nonsense",
    ];
    for (const token of refused) {
      alice.send({ case: "tokenRotation", value: { token } });
      const status = await alice.take("tokenStatus");
      assert.deepEqual([status.state, status.expiresAt], [State.REJECTED, tokenExpiresAt]);
      assert.equal(status.reason.includes(token), false);
    }
    alice.send({ case: "custom", value: {} }, { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
  });

  test("TL7 a newer JWT on a Publish renews the Subscribe stream's", async () => {
    const client = relay.client();
    const short = await relay.token({ ttlSeconds: 100 });
    const abort = new AbortController();
    const headers = (token: string) => ({ authorization: `Bearer ${token}` });
    const stream = client.subscribe({ sessionId: "demo" }, { headers: headers(short), signal: abort.signal });
    const down = stream[Symbol.asyncIterator]();
    const take = async (kind: string) => {
      for (;;) {
        const next = await down.next();
        if (next.done === true) throw new Error("ended");
        if (next.value.payload.case === kind) return next.value.payload.value;
      }
    };
    const welcome = await take("welcome");
    const resumeToken = "resumeToken" in welcome ? welcome.resumeToken : "";
    relay.advance(50_000);
    await client.publish(
      { sessionId: "demo", resumeToken },
      { headers: headers(await relay.token({ ttlSeconds: 100 })) },
    );
    const status = await take("tokenStatus");
    assert.ok("state" in status && status.state === State.ACCEPTED);
    relay.advance(85_000);
    await client.publish(
      { sessionId: "demo", resumeToken },
      { headers: headers(await relay.token({ ttlSeconds: 100 })) },
    );
    await take("tokenStatus");
    abort.abort();
  });
});

describe("the life of a stream", () => {
  test("ST13 a silent client ends CLIENT_SILENT; one that answers heartbeats does not", async () => {
    const brisk = await startRelay({ limits: { heartbeatMs: 300 } });
    try {
      const silent = await brisk.join({ as: "silent" });
      const alive = await brisk.join({ as: "alive" });
      await silent.take("heartbeat");
      const pump = setInterval(() => alive.send({ case: "heartbeat", value: { sentAt: 7n } }), 100);
      const echoed = await alive.takeMessage(
        "heartbeat",
        ({ payload }) => payload.case === "heartbeat" && payload.value.echo === 7n,
      );
      assert.ok(echoed.timestamp > 0n);
      brisk.advance(4_000);
      await new Promise((resolve) => setTimeout(resolve, 500));
      brisk.advance(4_500);
      const { fault } = await silent.ended;
      assert.deepEqual([fault?.reason, fault?.action], ["CLIENT_SILENT", Action.RECONNECT]);
      alive.send({ case: "custom", value: {} }, { clientSeq: 1n });
      assert.equal((await alive.take("ack")).seq, 1n);
      clearInterval(pump);
    } finally {
      await brisk.stop();
    }
  });

  test("ST14 an old stream is told GoAway, then ends MAX_STREAM_AGE", async () => {
    const alice = await relay.join({ token: await relay.token({ ttlSeconds: 100_000 }) });
    await alice.take("welcome");
    relay.advance(4 * 60 * 60 * 1000);
    assert.equal((await alice.take("goAway")).reason, GoAwayReason.MAX_STREAM_AGE);
    relay.advance(5_000);
    assert.equal((await alice.ended).fault?.reason, "MAX_STREAM_AGE");
  });

  test("ST15 a drain says GoAway, ends the streams DRAIN, and takes nobody in", async () => {
    const draining = await startRelay();
    const alice = await draining.join();
    await alice.take("welcome");
    alice.send({ case: "custom", value: {} }, { clientSeq: 1n });
    await alice.take("ack");
    const drained = draining.drain();
    assert.equal((await alice.take("goAway")).reason, GoAwayReason.DRAIN);
    const { fault } = await alice.ended;
    assert.deepEqual([fault?.reason, fault?.action], ["DRAIN", Action.RECONNECT]);
    await drained;
    const late = await draining.join({ as: "late" });
    assert.equal((await late.ended).fault?.reason, "DRAIN");
    await draining.stop();
  });

  test("WR16 a client's own deadline ends its stream by name", async () => {
    const response = await fetch(`${relay.url}/codereview.v1.CodeReviewService/Subscribe`, {
      method: "POST",
      headers: {
        "content-type": "application/connect+json",
        "connect-timeout-ms": "300",
        authorization: `Bearer ${await relay.token()}`,
      },
      body: new Uint8Array([0, 0, 0, 0, 20, ...new TextEncoder().encode('{"sessionId":"demo"}')]),
    });
    const text = await response.text();
    assert.match(text, /"welcome"/);
    assert.match(text, /DEADLINE/);
  });
});
