import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Fault_Action as Action, Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit, type Stream, startRelay, type TestRelay } from "./harness.ts";
import { assertAlive, holdLog, operator, refusal, startTwo } from "./operators.ts";

const remove = async (relay: TestRelay, sessionId = "demo") =>
  await relay.admin().deleteSession({ sessionId }, await operator(relay));

/** Says so many messages, numbered from 1 on, and waits until the log has them. */
async function say(stream: Stream, count: number): Promise<void> {
  for (let n = 1; n <= count; n++) await assertAlive(stream, BigInt(n));
}

describe("DeleteSession", () => {
  test("AD7 its streams end EPOCH_CHANGED, and whoever comes back begins in an empty session of another epoch", async () => {
    const relay = await startRelay();
    try {
      const alice = await relay.join();
      const { epoch, resumeToken } = await alice.take("welcome");
      alice.send(edit("a.ts", 0, 0, 0, "canary"), { clientSeq: 1n });
      await alice.take("ack");
      const other = await relay.join({ session: "other" });
      await other.take("welcome");
      await remove(relay);
      const { fault } = await alice.ended;
      assert.deepEqual([fault?.reason, fault?.action], ["EPOCH_CHANGED", Action.RESYNC]);
      assert.equal(await relay.log.describe("demo"), undefined);
      assert.equal((await refusal(remove(relay))).reason, "SESSION_NOT_FOUND");
      const back = await relay.join({ resumeToken, lastSeq: 1n });
      const welcome = await back.take("welcome");
      assert.deepEqual([welcome.outcome, welcome.headSeq, welcome.lastClientSeq], [Outcome.RESYNCED, 0n, 0n]);
      assert.notEqual(welcome.epoch, epoch);
      const snapshot = await back.take("snapshot");
      assert.deepEqual([snapshot.files.length, snapshot.epoch], [0, welcome.epoch]);
      await assertAlive(back, 1n);
      await assertAlive(other, 1n);
    } finally {
      await relay.stop();
    }
  });

  test("AD7 on another instance, too: a reader there that says nothing is told by the bus", async () => {
    const two = await startTwo({ shareBus: true });
    try {
      const writer = await two.here.join();
      await writer.take("welcome");
      await say(writer, 2);
      const token = await two.there.token({ sub: "rita", scope: "session:read" });
      const reader = await two.there.join({ token });
      await reader.take("welcome");
      await remove(two.here);
      for (const stream of [reader, writer]) assert.equal((await stream.ended).fault?.reason, "EPOCH_CHANGED");
    } finally {
      await two.stop();
    }
  });

  test("AD7 an instance that was not told, and has seen no record, does not begin the old epoch anew", async () => {
    const two = await startTwo({ shareBus: false });
    try {
      const there = await two.there.join({ clientId: "t" });
      const { epoch } = await there.take("welcome");
      const here = await two.here.join({ as: "bob", clientId: "h" });
      const { resumeToken } = await here.take("welcome");
      await say(here, 3);
      await remove(two.here);
      const next = await two.there.join({ as: "carol", clientId: "c" });
      assert.notEqual((await next.take("welcome")).epoch, epoch);
      await say(next, 5);
      const back = await two.here.join({ as: "bob", resumeToken, lastSeq: 3n });
      assert.equal((await back.take("welcome")).outcome, Outcome.RESYNCED);
    } finally {
      await two.stop();
    }
  });

  test("AD7 an instance that was not told finds it at its next write", async () => {
    const two = await startTwo({ shareBus: false });
    try {
      const writer = await two.there.join();
      await writer.take("welcome");
      await say(writer, 2);
      await remove(two.here);
      writer.send({ case: "custom", value: {} }, { clientSeq: 3n });
      assert.equal((await writer.ended).fault?.reason, "EPOCH_CHANGED");
      assert.equal(await two.log.describe("demo"), undefined);
    } finally {
      await two.stop();
    }
  });

  for (const carriage of ["join", "publish", "rotation"] as const) {
    test(`AD7 an instance that was not told does not bring the old epoch back by a claim: ${carriage}`, async () => {
      const two = await startTwo({ shareBus: false });
      try {
        const old = await two.there.join();
        const { epoch } = await old.take("welcome");
        await say(old, 3);
        const reader = await two.there.join({
          as: "bob",
          token: await two.there.token({ sub: "bob", scope: "session:read" }),
        });
        await reader.take("welcome");
        await remove(two.here);
        const token = await two.there.token({ sub: "bob" });
        if (carriage === "join") {
          const back = await two.there.join({ as: "carol" });
          const welcome = await back.take("welcome");
          assert.equal(welcome.headSeq, 0n);
          await assertAlive(back, 1n);
        } else if (carriage === "publish") {
          const headers = { authorization: `Bearer ${token}` };
          const fault = await refusal(two.there.client().publish({ sessionId: "demo", clientId: "p" }, { headers }));
          assert.equal(fault.reason, "EPOCH_CHANGED");
        } else {
          reader.send({ case: "tokenRotation", value: { token } });
        }
        assert.equal((await old.ended).fault?.reason, "EPOCH_CHANGED");
        const state = await two.log.describe("demo");
        assert.ok(state !== undefined && state.epoch !== epoch, "another epoch");
        const anew = await two.here.join({ as: "dave" });
        assert.equal((await anew.take("welcome")).epoch, state.epoch);
      } finally {
        await two.stop();
      }
    });
  }

  test("AD7 a snapshot of what was deleted, written late, is not one of the session that was made since", async () => {
    const { log, memory, asked, release, begin } = holdLog("putSnapshot");
    const relay = await startRelay({ log, limits: { snapshotRecords: 3, messagesPerSecond: 1e6, messagesBurst: 1e6 } });
    try {
      begin();
      const alice = await relay.join();
      await alice.take("welcome");
      alice.send(edit("a.ts", 0, 0, 0, "canary"), { clientSeq: 1n });
      for (let n = 2n; n <= 3n; n++) alice.send({ case: "custom", value: {} }, { clientSeq: n });
      await asked;
      await remove(relay);
      await alice.ended;
      const bob = await relay.join({ as: "bob" });
      await bob.take("welcome");
      await say(bob, 2);
      // One more record than the deleted session's snapshot stands at, by a writer beside the relay.
      const claim = await memory.claim("demo", { userId: "x", clientId: "x" }, "");
      const frame = new Uint8Array(5);
      const records = [3, 4, 5].map((seq) => ({ seq, frame, payloadHash: 0 }));
      const batch = { epoch: claim.epoch, expectedHead: 2, records, writers: [] };
      assert.equal((await memory.append("demo", batch)).kind, "appended");
      release();
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(await memory.latestSnapshot("demo"), undefined);
    } finally {
      release();
      await relay.stop();
    }
  });

  test("AD7 a session that is deleted and made anew while a join reads it is joined as what it then is", async () => {
    const { log, memory, asked, release, begin } = holdLog("latestSnapshot");
    const [first, second] = [await startRelay({ log: memory }), await startRelay({ log })];
    try {
      const alice = await first.join();
      await alice.take("welcome");
      alice.send(edit("old.ts", 0, 0, 0, "canary"), { clientSeq: 1n });
      await alice.take("ack");
      begin();
      const token = await second.token({ sub: "rita", scope: "session:read" });
      const reader = await second.join({ token });
      await asked;
      await remove(first);
      const anew = await first.join({ as: "bob" });
      const { epoch } = await anew.take("welcome");
      anew.send(edit("new.ts", 0, 0, 0, "x"), { clientSeq: 1n });
      await anew.take("ack");
      release();
      assert.equal((await reader.take("welcome")).epoch, epoch);
      assert.deepEqual(
        (await reader.take("snapshot")).files.map(({ filePath }) => filePath),
        ["new.ts"],
      );
    } finally {
      release();
      await Promise.all([first.stop(), second.stop()]);
    }
  });

  for (const [method, name] of [
    ["read", "ReadLog"],
    ["latestSnapshot", "GetSnapshot"],
  ] as const) {
    test(`AD7 ${name} tells nothing of one history as if it were of another`, async () => {
      const { log, memory, asked, release, begin } = holdLog(method);
      const [first, second] = [await startRelay({ log: memory }), await startRelay({ log })];
      try {
        const alice = await first.join();
        await alice.take("welcome");
        await say(alice, 2);
        begin();
        const headers = { authorization: `Bearer ${await second.token()}` };
        const seen: unknown[] = [];
        const read = async () => {
          const request = { sessionId: "demo" };
          const calls = second.client();
          const answers =
            name === "ReadLog" ? calls.readLog(request, { headers }) : calls.getSnapshot(request, { headers });
          for await (const answer of answers) seen.push(answer);
        };
        const refused = refusal(read());
        await asked;
        await remove(first);
        const bob = await first.join({ as: "bob" });
        await bob.take("welcome");
        await say(bob, 3);
        release();
        assert.equal((await refused).reason, "EPOCH_CHANGED");
        assert.deepEqual(seen, []);
      } finally {
        release();
        await Promise.all([first.stop(), second.stop()]);
      }
    });
  }

  test("AD7 that an epoch ended says nothing to a room of another", async () => {
    const two = await startTwo({ shareBus: true });
    try {
      const old = await two.there.join();
      const { epoch } = await old.take("welcome");
      await say(old, 1);
      await remove(two.here);
      await old.ended;
      const anew = await two.there.join({ as: "bob" });
      await anew.take("welcome");
      const carol = await two.here.join({ as: "carol" });
      await carol.take("welcome");
      two.here.relay.bus.publish("demo", { kind: "epoch-ended", epoch });
      two.here.relay.rooms.endEpoch("demo", epoch);
      await assertAlive(carol, 1n);
      await assertAlive(anew, 1n);
    } finally {
      await two.stop();
    }
  });
});
