import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Meters } from "../../src/relay/metrics/meters.ts";
import { Reader } from "../../src/relay/reader.ts";
import { Ring } from "../../src/relay/ring.ts";
import { tickMs } from "../../src/relay/ticker.ts";
import { edit, startRelay } from "./harness.ts";
import { assertAlive } from "./operators.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe("a fault in what is done for one session", () => {
  test("SF5 in its records: its streams end INTERNAL, the others go on, and it starts again from its log", async () => {
    const memory = createMemoryLog(Date.now);
    let faults = 1;
    const log: SessionLog = {
      ...memory,
      async append(sessionId, batch) {
        if (sessionId === "bad" && faults-- > 0) throw new TypeError("a fault of the relay");
        return await memory.append(sessionId, batch);
      },
    };
    const relay = await startRelay({ log });
    try {
      const [bad, good] = [await relay.join({ session: "bad" }), await relay.join({ session: "good" })];
      const { streamId, resumeToken } = await bad.take("welcome");
      assert.notEqual(streamId, "");
      bad.send(edit("a.ts", 0, 0, 0, "secret text"), { clientSeq: 1n });
      const { fault } = await bad.ended;
      assert.equal(fault?.reason, "INTERNAL");
      assert.ok(!JSON.stringify(fault.message).includes("secret text"));
      await assertAlive(good, 1n);
      const again = await relay.join({ session: "bad", resumeToken });
      await again.take("welcome");
      again.send(edit("a.ts", 0, 0, 0, "secret text"), { clientSeq: 1n });
      assert.equal((await again.take("ack")).seq, 1n);
    } finally {
      await relay.stop();
    }
  });

  test("SF5 in what happens by time: likewise", async () => {
    const relay = await startRelay();
    try {
      const [bad, good] = [await relay.join({ session: "bad" }), await relay.join({ session: "good" })];
      await bad.take("welcome");
      await assertAlive(bad, 1n);
      const room = relay.relay.rooms.present("bad");
      assert.ok(room !== undefined);
      room.roster.tick = () => {
        throw new TypeError("a fault of the relay");
      };
      assert.equal((await bad.ended).fault?.reason, "INTERNAL");
      await assertAlive(good, 1n);
      const again = await relay.join({ session: "bad" });
      assert.equal((await again.take("welcome")).headSeq, 1n);
      await assertAlive(again, 1n);
    } finally {
      await relay.stop();
    }
  });
});

describe("a process that stood still", () => {
  const limits = { heartbeatMs: 5_000 };
  /** Of a bidi stream: a heartbeat and 8 s. */
  const silentMs = 13_000;
  const stillMs = 3_000;

  /** Nothing else runs meanwhile. */
  const standStill = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stillMs);

  test("SF6 holds the time against nobody", async () => {
    const relay = await startRelay({ limits });
    try {
      const [alice, bob] = [await relay.join({ clientId: "a" }), await relay.join({ as: "bob", clientId: "b" })];
      for (const stream of [alice, bob]) await stream.take("welcome");
      const participants = [...(relay.relay.rooms.present("demo")?.participants.values() ?? [])];
      assert.equal(participants.length, 2);
      const before = relay.now();
      for (const participant of participants) participant.heard(before - (silentMs - stillMs + 1_000));
      standStill();
      await pause(2 * tickMs);
      for (const participant of participants) {
        assert.ok(relay.relay.rooms.present("demo")?.participants.has(participant.streamId));
      }
      await assertAlive(alice, 1n);
      await assertAlive(bob, 1n);
    } finally {
      await relay.stop();
    }
  });

  test("SF6 nor against a reader that is behind", () => {
    let nowMs = 1_000;
    const reader = new Reader({
      outlet: { form: "binary", write: () => new Promise(() => undefined), end: () => undefined },
      source: {
        ring: new Ring(1_024),
        meters: new Meters(),
        head: 0,
        readLog: async () => [],
        conflated: () => [],
        encode: () => new Uint8Array(8),
      },
      key: "a/alice",
      ackFrom: 1,
      snapshot: undefined,
      fromSeq: 1,
      now: () => nowMs,
      fetchResync: () => undefined,
      fail: (error) => assert.fail(String(error)),
    });
    reader.forgive(500);
    assert.equal(reader.blockedSinceMs, undefined);
    reader.welcome({ case: "heartbeat", value: {} });
    assert.equal(reader.blockedSinceMs, 1_000);
    nowMs = 9_000;
    reader.forgive(7_000);
    assert.equal(reader.blockedSinceMs, 8_000);
  });

  test("SF6 who was silent long enough before is gone all the same", async () => {
    const relay = await startRelay({ limits });
    try {
      const alice = await relay.join({ clientId: "a" });
      await alice.take("welcome");
      const [participant] = relay.relay.rooms.present("demo")?.participants.values() ?? [];
      assert.ok(participant !== undefined);
      participant.heard(relay.now() - silentMs);
      standStill();
      assert.equal((await alice.ended).fault?.reason, "CLIENT_SILENT");
    } finally {
      await relay.stop();
    }
  });
});
