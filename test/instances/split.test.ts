import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionMessage } from "../../src/gen/codereview/v1/codereview_pb.ts";
import {
  PresenceUpdate_Status as Status,
  TokenStatus_State as TokenState,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Payload, TestRelay, TokenOptions } from "../relay/harness.ts";
import { refusal, until } from "../relay/operators.ts";
import { roomOf, startPair } from "./pair.ts";

type Pair = Awaited<ReturnType<typeof startPair>>;

/** A client whose `Subscribe` is on one instance. */
async function subscribe(relay: TestRelay, token: string, clientId = "a") {
  const abort = new AbortController();
  const received: SessionMessage[] = [];
  const calls = relay
    .client()
    .subscribe(
      { sessionId: "demo", join: { clientId } },
      { headers: { authorization: `Bearer ${token}` }, signal: abort.signal },
    );
  let over = false;
  const ended = (async () => {
    try {
      for await (const message of calls) received.push(message);
    } catch {
      // How it ended, the tests see elsewhere.
    } finally {
      over = true;
    }
  })();
  const find = (kind: string) => received.find(({ payload }) => payload.case === kind)?.payload;
  await until(() => find("welcome") !== undefined);
  const welcome = find("welcome");
  if (welcome?.case !== "welcome") throw new Error("no Welcome came");
  return {
    received,
    resumeToken: welcome.value.resumeToken,
    ended,
    isOver: () => over,
    cut: () => abort.abort(),
  };
}

async function publish(
  relay: TestRelay,
  jwt: string,
  resumeToken: string,
  ...messages: readonly Partial<{ payload: Payload; clientSeq: bigint }>[]
) {
  const headers = { authorization: `Bearer ${jwt}` };
  const { replies } = await relay
    .client()
    .publish({ sessionId: "demo", resumeToken, messages: [...messages] }, { headers });
  return replies.map(({ payload }) => payload);
}

const custom = { case: "custom", value: { type: "t" } } as const;

describe("Subscribe on one instance, Publish on another", () => {
  async function start(use: (pair: Pair, token: (options?: TokenOptions) => Promise<string>) => Promise<void>) {
    const pair = await startPair({ limits: { idleMs: 10_000 } });
    try {
      await use(pair, (options) => pair.here.token(options));
    } finally {
      await pair.stop();
    }
  }

  test("MI13 is one client: replies say durable, and the Acks come on the stream at their place", () =>
    start(async (pair, token) => {
      const jwt = await token();
      const alice = await subscribe(pair.here, jwt);
      const bob = await pair.here.join({ as: "bob", clientId: "b" });
      await bob.take("welcome");
      const replies = await publish(
        pair.there,
        jwt,
        alice.resumeToken,
        { payload: custom, clientSeq: 1n },
        { payload: custom, clientSeq: 2n },
      );
      assert.deepEqual(
        replies.map((reply) => reply.case === "ack" && reply.value.seq),
        [1n, 2n],
      );
      bob.send(custom, { clientSeq: 1n });
      await bob.take("ack");
      await publish(pair.here, jwt, alice.resumeToken, { payload: custom, clientSeq: 3n });
      await until(() => alice.received.filter(({ payload }) => payload.case === "ack").length === 3);
      const order = alice.received.flatMap(({ payload, seq }) =>
        payload.case === "ack" ? [`ack ${payload.value.seq}`] : payload.case === "custom" ? [`bob ${seq}`] : [],
      );
      assert.deepEqual(order, ["ack 1", "ack 2", "bob 3", "ack 4"]);
      alice.cut();
    }));

  test("MI13 keeps its stream alive; silence everywhere ends it", () =>
    start(async (pair, token) => {
      const jwt = await token();
      const alice = await subscribe(pair.here, jwt);
      for (let n = 0; n < 4; n++) {
        await pair.advance(60_000);
        await publish(pair.there, jwt, alice.resumeToken, { payload: { case: "heartbeat", value: { sentAt: 1n } } });
      }
      await until(() => roomOf(pair.here).participants.ofClient("a/alice") !== undefined);
      assert.equal(alice.isOver(), false);
      assert.equal(roomOf(pair.here).participants.ofClient("a/alice")?.silentMs(pair.here.now()), 0);
      await pair.advance(150_000);
      await alice.ended;
    }));

  test("MI13 shows who is active, and what they say of themselves, told by the instance that holds the stream", () =>
    start(async (pair, token) => {
      const jwt = await token();
      const alice = await subscribe(pair.here, jwt);
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      await bob.take("welcome");
      const next = async () => {
        const { payload } = await bob.takeMessage("presence", ({ userId }) => userId === "alice");
        return payload.case === "presence" ? [payload.value.status, payload.value.displayName] : [];
      };
      await pair.advance(10_000);
      assert.deepEqual(await next(), [Status.IDLE, "alice"]);
      await publish(pair.there, jwt, alice.resumeToken, {
        payload: { case: "cursor", value: { filePath: "a.ts", line: 1 } },
      });
      assert.deepEqual(await next(), [Status.ACTIVE, "alice"]);
      await publish(pair.there, jwt, alice.resumeToken, {
        payload: { case: "presence", value: { status: Status.IDLE, displayName: "Al" } },
      });
      assert.deepEqual(await next(), [Status.IDLE, "Al"]);
      assert.equal(roomOf(pair.here).roster.get("a/alice")?.displayName, "Al");
      await publish(pair.there, jwt, alice.resumeToken, {
        payload: { case: "presence", value: { status: Status.LEFT } },
      });
      assert.deepEqual(await next(), [Status.LEFT, "Al"]);
      assert.equal(roomOf(pair.here).roster.get("a/alice"), undefined);
      alice.cut();
    }));

  test("MI13 with a newer JWT, or by a TokenRotation, puts the new token in force for the stream", () =>
    start(async (pair, token) => {
      const old = await token({ ttlSeconds: 60 });
      const alice = await subscribe(pair.here, old);
      const inForce = () => roomOf(pair.here).participants.ofClient("a/alice")?.principal.expiresAtMs ?? 0;
      const before = inForce();
      await pair.advance(1_000);
      const newer = await token({ ttlSeconds: 600 });
      await publish(pair.there, newer, alice.resumeToken);
      await until(() => inForce() > before);
      await until(() =>
        alice.received.some(
          ({ payload }) => payload.case === "tokenStatus" && payload.value.state === TokenState.ACCEPTED,
        ),
      );
      const between = inForce();
      const rotated = await token({ ttlSeconds: 300, scope: "session:edit" });
      const replies = await publish(pair.there, newer, alice.resumeToken, {
        payload: { case: "tokenRotation", value: { token: rotated } },
      });
      assert.equal(replies[0]?.case === "tokenStatus" && replies[0].value.state, TokenState.ACCEPTED);
      await until(() => inForce() < between);
      assert.deepEqual([...(roomOf(pair.here).participants.ofClient("a/alice")?.principal.scopes ?? [])].sort(), [
        "session:edit",
        "session:read",
      ]);
      alice.cut();
    }));

  for (const where of ["here", "there"] as const) {
    test(`MI13 may do no more than the stream's token, which got fewer scopes by a rotation ${where}`, () =>
      start(async (pair, token) => {
        const jwt = await token();
        const alice = await subscribe(pair.here, jwt);
        const less = await token({ scope: "session:edit" });
        await publish(pair.there, jwt, alice.resumeToken);
        await publish(pair[where], jwt, alice.resumeToken, {
          payload: { case: "tokenRotation", value: { token: less } },
        });
        const replies = await publish(pair.there, jwt, alice.resumeToken, { payload: custom, clientSeq: 1n });
        assert.equal(replies[0]?.case === "fault" && replies[0].value.reason, "SCOPE_MISSING");
        alice.cut();
      }));
  }

  test("MI13 a stream that joined as a reader and may write since does so from any instance", () =>
    start(async (pair, token) => {
      const alice = await subscribe(pair.here, await token({ scope: "session:read" }));
      const more = await token();
      await publish(pair.here, more, alice.resumeToken, { payload: { case: "tokenRotation", value: { token: more } } });
      const replies = await publish(pair.there, more, alice.resumeToken, { payload: custom, clientSeq: 1n });
      assert.equal(replies[0]?.case === "ack" && replies[0].value.seq, 1n);
      assert.equal(alice.isOver(), false);
      alice.cut();
    }));

  test("MI13 a stream that another took over, on whichever instance, is none to publish for", () =>
    start(async (pair, token) => {
      const jwt = await token();
      const old = await subscribe(pair.here, jwt);
      const newer = await subscribe(pair.there, jwt);
      await old.ended;
      for (const relay of [pair.here, pair.there]) {
        const fault = await refusal(publish(relay, jwt, old.resumeToken, { payload: custom, clientSeq: 1n }));
        assert.equal(fault.reason, "SUPERSEDED");
      }
      const replies = await publish(pair.here, jwt, newer.resumeToken, { payload: custom, clientSeq: 1n });
      assert.equal(replies[0]?.case, "ack");
      newer.cut();
    }));

  test("MI14 a disconnect counts what all instances ended, and waits for none that is gone", () =>
    start(async (pair, token) => {
      const streams = [
        await pair.here.join({ clientId: "a" }),
        await pair.there.join({ clientId: "b" }),
        await pair.there.join({ clientId: "c" }),
      ];
      for (const stream of streams) await stream.take("welcome");
      const operator = {
        authorization: `Bearer ${await token({ sub: "op", sessions: ["*"], scope: "session:admin" })}`,
      };
      const request = { sessionId: "demo", userId: "alice" };
      assert.equal((await pair.here.admin().disconnect(request, { headers: operator })).streams, 3);
      for (const stream of streams) assert.equal((await stream.ended).fault?.reason, "DISCONNECTED");
      assert.equal(pair.here.relay.instances.count, 1);
      await pair.there.drain();
      assert.equal(pair.here.relay.instances.count, 0);
      assert.equal((await pair.here.admin().disconnect(request, { headers: operator })).streams, 0);
    }));
});
