// What one user may take up, however they spread it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { FaultSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { tick } from "../../src/relay/ticker.ts";
import type { TestRelay } from "./harness.ts";
import { answerTo, custom, enter, withRelay } from "./limits/with-relay.ts";
import { holdLog } from "./operators.ts";

async function reasonOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return "OK";
  } catch (error) {
    return ConnectError.from(error).findDetails(FaultSchema)[0]?.reason;
  }
}

const headersOf = async (relay: TestRelay, sub: string, sessions: readonly string[]) => ({
  headers: { authorization: `Bearer ${await relay.token({ sub, sessions })}` },
});

async function readLog(relay: TestRelay, sub: string, sessionId = "demo"): Promise<number> {
  let records = 0;
  for await (const _ of relay.client().readLog({ sessionId }, await headersOf(relay, sub, [sessionId]))) records += 1;
  return records;
}

describe("one user", () => {
  const rates = { messagesPerSecond: 1, messagesBurst: 5 };

  test("LM7 over all streams, a user sends no more than four streams' worth, and others are served", async () => {
    await withRelay(rates, async (relay) => {
      const names = ["1", "2", "3", "4", "5", "6", "7", "8"];
      const streams = await Promise.all(names.map((clientId) => enter(relay, "alice", "demo", clientId)));
      // Joining was as many messages.
      let taken = names.length;
      const nextOf = new Map<(typeof streams)[number], bigint>();
      for (const stream of streams) {
        let n = 1n;
        for (; (await answerTo(stream, custom, n)) === "ack"; n++) taken += 1;
        nextOf.set(stream, n);
      }
      assert.equal(taken, 4 * 5);
      const bob = await enter(relay, "bob");
      assert.equal(await answerTo(bob, custom, 1n), "ack");
      // In a second four for all of them, though each stream for itself could send one: those who come first get them.
      relay.advance(1000);
      const answers = [];
      for (const stream of streams.slice(0, 5)) answers.push(await answerTo(stream, custom, nextOf.get(stream) ?? 1n));
      assert.deepEqual(answers, ["ack", "ack", "ack", "ack", "RATE_LIMITED"]);
    });
  });

  test("LM7 a Publish counts with the streams, by client_id and by resume token", async () => {
    await withRelay(rates, async (relay) => {
      const options = await headersOf(relay, "alice", ["demo"]);
      const streams = [];
      for (let n = 0; n < 4; n++) streams.push(await enter(relay, "alice", "demo", `c${n}`));
      for (const stream of streams) {
        for (let n = 1n; n <= 4n; n++) assert.equal(await answerTo(stream, custom, n), "ack");
      }
      const publish = () => reasonOf(relay.client().publish({ sessionId: "demo", clientId: "p" }, options));
      assert.equal(await publish(), "RATE_LIMITED");
      relay.advance(250);
      assert.equal(await publish(), "OK");
      assert.equal(await publish(), "RATE_LIMITED");
    });
  });

  test("LM8 calls that read the log count as streams, and are streams no more when they have ended", async () => {
    await withRelay({ userStreams: 1 }, async (relay) => {
      const alice = await enter(relay, "alice");
      assert.equal(await answerTo(alice, custom, 1n), "ack");
      assert.equal(await reasonOf(readLog(relay, "alice")), "USER_LIMIT");
      for (let n = 0; n < 3; n++) assert.equal(await readLog(relay, "bob"), 1);
      alice.finish();
      await alice.ended;
      assert.equal(await readLog(relay, "alice"), 1);
    });
  });

  test("LM8 a call that reads the log holds its place while it runs", async () => {
    const held = holdLog("read");
    await withRelay(
      { userStreams: 1 },
      async (relay) => {
        const bob = await enter(relay, "bob");
        assert.equal(await answerTo(bob, custom, 1n), "ack");
        held.begin();
        const reading = readLog(relay, "alice");
        await held.asked;
        assert.equal(await reasonOf(readLog(relay, "alice")), "USER_LIMIT");
        held.release();
        assert.equal(await reading, 1);
        assert.equal(await readLog(relay, "alice"), 1);
      },
      { log: held.log },
    );
  });

  test("LM8 a Publish by resume token is in its session", async () => {
    await withRelay({ userSessions: 1 }, async (relay) => {
      const stream = await relay.join({ session: "one" });
      const { resumeToken } = await stream.take("welcome");
      stream.finish();
      await stream.ended;
      relay.advance(60_000);
      tick(relay.relay);
      const options = await headersOf(relay, "alice", ["*"]);
      assert.equal(await reasonOf(relay.client().publish({ sessionId: "one", resumeToken }, options)), "OK");
      const elsewhere = relay.client().publish({ sessionId: "two", clientId: "c" }, options);
      assert.equal(await reasonOf(elsewhere), "USER_LIMIT");
    });
  });

  test("LM8 a Publish is in its session, and the refusal names the cap", async () => {
    await withRelay({ userSessions: 2 }, async (relay) => {
      const options = await headersOf(relay, "alice", ["*"]);
      const publish = async (sessionId: string) => {
        try {
          await relay.client().publish({ sessionId, clientId: "c" }, options);
          return "OK";
        } catch (error) {
          return ConnectError.from(error).findDetails(FaultSchema)[0];
        }
      };
      for (const session of ["one", "two", "one"]) assert.equal(await publish(session), "OK");
      const fault = await publish("three");
      assert.ok(typeof fault === "object");
      assert.deepEqual([fault.reason, fault.message], ["USER_LIMIT", "a user may be in 2 sessions"]);
      assert.ok(fault.retryAfterMs > 0n);
      assert.equal(relay.relay.rooms.present("three"), undefined);
      relay.advance(60_000);
      tick(relay.relay);
      assert.equal(await publish("three"), "OK");
    });
  });

  test("LM8 of streams, the refusal names the cap", async () => {
    await withRelay({ userStreams: 1 }, async (relay) => {
      await enter(relay, "alice");
      const { fault } = await (await relay.join({ clientId: "d" })).ended;
      assert.deepEqual([fault?.reason, fault?.message], ["USER_LIMIT", "a user may hold 1 streams"]);
    });
  });

  test("LM9 streams that come and go cost their user, who is told when to come again", async () => {
    await withRelay({ messagesPerSecond: 1, messagesBurst: 1 }, async (relay) => {
      for (let n = 0; n < 4; n++) {
        const stream = await enter(relay, "alice", "demo", `c${n}`);
        stream.finish();
        await stream.ended;
      }
      const { fault } = await (await relay.join({ clientId: "late" })).ended;
      assert.deepEqual([fault?.reason, fault?.retryAfterMs], ["RATE_LIMITED", 250n]);
      assert.equal(await reasonOf(readLog(relay, "alice")), "RATE_LIMITED");
      relay.advance(250);
      await enter(relay, "alice", "demo", "late");
    });
  });
});
