import assert from "node:assert/strict";
import http2 from "node:http2";
import { describe, test } from "node:test";
import { SessionMessageSchema } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeHop } from "../../../src/relay/edge/hop.ts";
import { windowBytes } from "../../../src/relay/edge/hop-credits.ts";
import { bodyOf, encode, wayOf } from "../../bad-input/ways.ts";
import { startEdge, type TestEdge } from "./harness.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const fast = { messagesPerSecond: 100_000, messagesBurst: 100_000, unackedBytes: 64 * 1024 * 1024 };
const way = wayOf("Connect binary");
const method = "collaborativeSession";

const saying = (...messages: readonly object[]) =>
  bodyOf(way, method, ...messages.map((message) => encode(way, SessionMessageSchema, message)));

/** A client that takes nothing but what its connection takes by itself. */
async function openUnread(edge: TestEdge) {
  const connection = http2.connect(edge.url);
  connection.on("error", () => undefined);
  const stream = connection.request({
    ":method": "POST",
    ":path": "/codereview.v1.CodeReviewService/CollaborativeSession",
    "content-type": way.streamType,
    authorization: `Bearer ${await edge.token()}`,
  });
  stream.on("error", () => undefined);
  stream.write(saying({ sessionId: "demo", payload: { case: "join", value: {} } }));
  while (edge.objects.object("demo").links === 0) await pause(10);
  await pause(100);
  return { stream, close: () => connection.destroy() };
}

async function untilGone(edge: TestEdge): Promise<void> {
  const dueMs = Date.now() + 10_000;
  while (edge.objects.object("demo").links > 0) {
    assert.ok(Date.now() < dueMs, "it is still there");
    await pause(10);
  }
}

describe("what a gateway holds for one client", () => {
  test("EG49 one that asks and asks, and reads no answer, is sent away", async () => {
    const edge = await startEdge({ limits: fast });
    const client = await openUnread(edge);
    try {
      const asked = Array.from({ length: 10_000 }, (_, n) => ({
        payload: { case: "heartbeat", value: { sentAt: BigInt(n + 1) } },
      }));
      client.stream.write(saying(...asked));
      await untilGone(edge);
    } finally {
      client.close();
      await edge.stop();
    }
  });

  test("EG49 one for which an object says more than it was told to is sent away", async () => {
    const edge = await startEdge({ limits: fast, evicts: () => false });
    const client = await openUnread(edge);
    try {
      const frames = encodeHop({ kind: "frames", frames: new Uint8Array(windowBytes) });
      for (let n = 0; n < 4; n++) edge.objects.object("demo").say(frames);
      await pause(100);
      assert.equal(edge.objects.object("demo").links, 1);
      for (let n = 0; n < 3; n++) edge.objects.object("demo").say(frames);
      await untilGone(edge);
    } finally {
      client.close();
      await edge.stop();
    }
  });

  test("EG49 while an object takes nothing, no more than the window is on its way to it", async () => {
    const { promise: isAwake, resolve: wake } = Promise.withResolvers<void>();
    const edge = await startEdge({ limits: fast, wakes: () => isAwake });
    const count = 60;
    const data = new Uint8Array(32 * 1024);
    try {
      const alice = await edge.join();
      for (let n = 1; n <= count; n++) {
        alice.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
      }
      await pause(300);
      const { bytesUp } = edge.objects;
      assert.ok(bytesUp >= windowBytes && bytesUp <= windowBytes + 2 * data.length, `${bytesUp} bytes`);
      wake();
      await alice.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.seq === BigInt(count));
      alice.cut();
    } finally {
      await edge.stop();
    }
  });

  test("EG44 who has answered heartbeats for long is believed when it falls behind", async () => {
    const edge = await startEdge({ limits: { ...fast, heartbeatMs: 50 }, socketsTell: false, evicts: () => false });
    try {
      const slow = await edge.join({ as: "slow", kind: "websocket" });
      await slow.take("welcome");
      const answer = async () => {
        const { payload } = await slow.takeMessage(
          "heartbeat",
          ({ payload }) => payload.case === "heartbeat" && payload.value.echo === 0n,
        );
        if (payload.case === "heartbeat") slow.send({ case: "heartbeat", value: { echo: payload.value.sentAt } });
      };
      for (let n = 0; n < 12; n++) await answer();
      const alice = await edge.join({ as: "alice" });
      await alice.take("welcome");
      const data = new Uint8Array(16 * 1024);
      const count = 100;
      for (let n = 1; n <= count; n++) {
        alice.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
      }
      const records = () => slow.received.filter(({ payload }) => payload.case === "custom").length;
      while (records() < count) await answer();
      slow.cut();
      alice.cut();
    } finally {
      await edge.stop();
    }
  });
});
