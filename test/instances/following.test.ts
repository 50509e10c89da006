import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Join_History as History, Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit } from "../relay/harness.ts";
import { until } from "../relay/operators.ts";
import { deaf, roomOf, say, startPair } from "./pair.ts";

describe("a session on two instances", () => {
  test("MI1 what one instance logs, the others tell: the same records, once, in order, to each its own as an Ack", async () => {
    const pair = await startPair();
    try {
      const alice = await pair.here.join({ clientId: "a" });
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      const carol = await pair.there.join({ as: "carol", clientId: "c", kind: "connect-json" });
      for (const stream of [alice, bob, carol]) await stream.take("welcome");
      alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
      assert.equal((await alice.take("ack")).seq, 1n);
      assert.equal((await bob.take("edit")).changes[0]?.insert, "one");
      bob.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 1n });
      assert.equal((await bob.take("ack")).seq, 2n);
      assert.equal((await alice.take("edit")).version, 2);
      assert.equal(await say(alice, 2), 3n);
      await carol.takeMessage("custom");
      assert.deepEqual(
        carol.received.filter(({ payload }) => payload.case === "edit").map(({ seq }) => seq),
        [1n, 2n],
      );
      assert.equal(roomOf(pair.here).state.head, roomOf(pair.there).state.head);
    } finally {
      await pair.stop();
    }
  });

  test("MI1 a ring for what is known, doubled, late, or for more than there is, changes nothing", async () => {
    const rings: ((head?: number) => void)[] = [];
    const reads: number[] = [];
    const memory = createMemoryLog(Date.now);
    const log: SessionLog = {
      ...memory,
      watch(_sessionId, ring) {
        rings.push(ring);
        return () => undefined;
      },
      read(...args) {
        reads.push(args[1]);
        return memory.read(...args);
      },
    };
    const pair = await startPair({ log });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      for (const stream of [alice, bob]) await stream.take("welcome");
      await say(alice, 1);
      await say(alice, 2);
      for (const ring of rings) for (const head of [2, 2, 1, 7, undefined, undefined]) ring(head);
      await bob.takeMessage("custom", ({ seq }) => seq === 2n);
      await until(() => roomOf(pair.there).pipeline.lookedAtMs > 0 && reads.length >= 2);
      assert.equal(bob.received.filter(({ seq }) => seq > 0n).length, 1, "the first, which is not taken yet");
      const before = reads.length;
      for (const ring of rings) ring(2);
      assert.equal(await say(bob, 1), 3n);
      assert.equal(reads.length, before, "a head that is known is not read for");
    } finally {
      await pair.stop();
    }
  });

  test("MI1 a ring that comes while the log is being read, and too late for that, is not forgotten", async () => {
    const read = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    let isHeld = false;
    const farLog = (log: SessionLog): SessionLog => ({
      ...log,
      async read(...args) {
        const records = await log.read(...args);
        if (!isHeld) return records;
        isHeld = false;
        read.resolve();
        await released.promise;
        return records;
      },
    });
    const pair = await startPair({ farLog, isBusSilent: true });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      await say(alice, 1);
      const reader = await pair.there.join({ token: await pair.there.token({ sub: "rita", scope: "session:read" }) });
      await reader.take("welcome");
      isHeld = true;
      await say(alice, 2);
      await read.promise;
      await say(alice, 3);
      released.resolve();
      await reader.takeMessage("custom", ({ seq }) => seq === 3n);
    } finally {
      released.resolve();
      await pair.stop();
    }
  });

  test("MI1 what is logged while an instance opens the session is not missed", async () => {
    const asked = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    const farLog = (log: SessionLog): SessionLog => ({
      ...log,
      async latestSnapshot(...args) {
        const stored = await log.latestSnapshot(...args);
        asked.resolve();
        await released.promise;
        return stored;
      },
    });
    const pair = await startPair({ farLog, isBusSilent: true });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      await say(alice, 1);
      const reader = await pair.there.join({ token: await pair.there.token({ sub: "rita", scope: "session:read" }) });
      await asked.promise;
      await say(alice, 2);
      released.resolve();
      await reader.takeMessage("custom", ({ seq }) => seq === 2n);
    } finally {
      released.resolve();
      await pair.stop();
    }
  });

  test("MI2 where no doorbell rings, the log is looked at, as long as somebody is there", async () => {
    const pair = await startPair({ farLog: deaf, isBusSilent: true });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      for (const stream of [alice, bob]) await stream.take("welcome");
      await say(alice, 1);
      const room = roomOf(pair.there);
      room.look(pair.there.now() + 3_900);
      assert.equal(room.state.head, 0, "not before its time");
      pair.there.advance(5_000);
      assert.equal((await bob.takeMessage("custom")).seq, 1n);
      bob.finish();
      await bob.ended;
      const { lookedAtMs } = room.pipeline;
      room.look(pair.there.now() + 60_000);
      await say(alice, 2);
      assert.equal(room.pipeline.lookedAtMs, lookedAtMs, "nobody is there to be told");
    } finally {
      await pair.stop();
    }
  });

  test("MI4 a store that has lost everything is found by the look at it: EPOCH_CHANGED, and counted", async () => {
    let store = createMemoryLog(Date.now);
    const log = forwarding(() => store);
    const pair = await startPair({ log });
    try {
      const rita = await pair.there.token({ sub: "rita", scope: "session:read" });
      const alice = await pair.here.join({ clientId: "a" });
      const reader = await pair.there.join({ token: rita });
      const { epoch } = await alice.take("welcome");
      await reader.take("welcome");
      await say(alice, 1);
      await reader.takeMessage("custom");
      store = createMemoryLog(Date.now);
      await pair.advance(5_000);
      for (const stream of [alice, reader]) assert.equal((await stream.ended).fault?.reason, "EPOCH_CHANGED");
      const back = await pair.there.join({ clientId: "a" });
      const welcome = await back.take("welcome");
      assert.notEqual(welcome.epoch, epoch);
      assert.equal(welcome.headSeq, 0n);
    } finally {
      await pair.stop();
    }
  });

  for (const found of ["look", "write", "claim"] as const) {
    test(`MI4 a store that has lost its tail is found by a ${found}: a new epoch, everybody is resynced, one instance counts it`, async () => {
      let store = createMemoryLog(Date.now);
      const pair = await startPair({ log: forwarding(() => store) });
      try {
        const alice = await pair.here.join({ clientId: "a" });
        const bob = await pair.there.join({ as: "bob", clientId: "b" });
        const { epoch, resumeToken } = await alice.take("welcome");
        await bob.take("welcome");
        for (let n = 1; n <= 3; n++) await say(alice, n);
        await bob.takeMessage("custom", ({ seq }) => seq === 3n);
        store = await shortened(store, 2, epoch);
        if (found === "look") await pair.advance(5_000);
        if (found === "write") bob.send({ case: "custom", value: {} }, { clientSeq: 1n });
        if (found === "claim") await pair.there.join({ as: "carol", clientId: "c" });
        for (const stream of [alice, bob]) assert.equal((await stream.ended).fault?.reason, "EPOCH_CHANGED");
        const back = await pair.there.join({ resumeToken, lastSeq: 3n });
        const welcome = await back.take("welcome");
        assert.deepEqual([welcome.outcome, welcome.headSeq], [Outcome.RESYNCED, 2n]);
        assert.notEqual(welcome.epoch, epoch);
        assert.equal(pair.here.relay.meters.tailsLost + pair.there.relay.meters.tailsLost, 1);
      } finally {
        await pair.stop();
      }
    });
  }

  test("MI4 a store that has lost its tail and was written to since is found, though its head is no lower", async () => {
    let store = createMemoryLog(Date.now);
    const pair = await startPair({ log: forwarding(() => store), isBusSilent: true });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      const { epoch } = await alice.take("welcome");
      for (let n = 1; n <= 3; n++) await say(alice, n);
      store = await shortened(store, 2, epoch);
      // An instance that had come no further than what is left writes on, and knows of nothing.
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      await bob.take("welcome");
      for (let n = 1; n <= 4; n++) await say(bob, n);
      pair.here.advance(5_000);
      assert.equal((await alice.ended).fault?.reason, "EPOCH_CHANGED");
      assert.notEqual((await store.describe("demo"))?.epoch, epoch);
    } finally {
      await pair.stop();
    }
  });

  test("MI5 who comes from an instance that was ahead is resumed, not resynced, and the epoch stays", async () => {
    const pair = await startPair({ farLog: deaf, isBusSilent: true });
    try {
      const rita = await pair.there.token({ sub: "rita", scope: "session:read" });
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      const { epoch } = await bob.take("welcome");
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      await say(alice, 1);
      const reader = await pair.here.join({ token: rita });
      const { resumeToken } = await reader.take("welcome");
      await say(alice, 2);
      await reader.takeMessage("custom", ({ seq }) => seq === 2n);
      assert.equal(roomOf(pair.there).state.head, 0, "the other instance was told nothing");
      const moved = await pair.there.join({ token: rita, resumeToken, lastSeq: 2n });
      const welcome = await moved.take("welcome");
      assert.deepEqual([welcome.outcome, welcome.epoch, welcome.headSeq], [Outcome.RESUMED, epoch, 2n]);
    } finally {
      await pair.stop();
    }
  });

  test("MI5 a copy that is behind is waited for: a join is not answered from it", async () => {
    let isBehind = false;
    const farLog = (log: SessionLog): SessionLog => ({
      ...deaf(log),
      async read(sessionId, from, to, maxBytes, epoch) {
        const records = await log.read(sessionId, from, to, maxBytes, epoch);
        return isBehind ? records.filter(({ seq }) => seq <= 1) : records;
      },
    });
    const pair = await startPair({ farLog, isBusSilent: true });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      await say(alice, 1);
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      await bob.take("welcome");
      isBehind = true;
      await say(alice, 2);
      await say(alice, 3);
      const carol = await pair.there.join({ as: "carol", clientId: "c" });
      await until(() => roomOf(pair.there).pipeline.lookedAtMs > 0);
      isBehind = false;
      assert.equal((await carol.take("welcome")).headSeq, 3n);
      assert.equal((await pair.log.describe("demo"))?.epoch, roomOf(pair.there).state.epoch);
    } finally {
      await pair.stop();
    }
  });

  for (const isBusSilent of [false, true]) {
    test(`MI16 what one instance trims, the others know, ${isBusSilent ? "by the log" : "by the bus"}`, async () => {
      const limits = {
        snapshotRecords: 5,
        logRecords: 10,
        ringBytes: 1_000,
        messagesPerSecond: 1e6,
        messagesBurst: 1e6,
      };
      const pair = await startPair({ limits, isBusSilent });
      try {
        const alice = await pair.here.join({ clientId: "a" });
        const bob = await pair.there.join({ as: "bob", clientId: "b" });
        const { resumeToken } = await bob.take("welcome");
        await alice.take("welcome");
        for (let n = 1; n <= 60; n++) await say(alice, n);
        await until(async () => ((await pair.log.describe("demo"))?.first ?? 0) > 40);
        await bob.takeMessage("custom", ({ seq }) => seq === 60n);
        const first = (await pair.log.describe("demo"))?.first ?? 0;
        if (!isBusSilent) assert.equal(roomOf(pair.there).first, first);
        bob.cut();
        const back = await pair.there.join({ as: "bob", resumeToken, lastSeq: 3n });
        assert.equal((await back.take("welcome")).outcome, Outcome.RESYNCED);
        const full = await pair.there.join({ as: "dan", clientId: "d", history: History.FULL });
        await full.take("welcome");
        assert.equal((await full.takeMessage("custom")).seq, BigInt(first));
      } finally {
        await pair.stop();
      }
    });
  }

  test("MI16 of instances that write at once, one writes a snapshot for all", async () => {
    const memory = createMemoryLog(Date.now);
    let written = 0;
    const log: SessionLog = {
      ...memory,
      putSnapshot(...args) {
        written += 1;
        return memory.putSnapshot(...args);
      },
    };
    const limits = { snapshotRecords: 10, messagesPerSecond: 1e6, messagesBurst: 1e6 };
    const pair = await startPair({ limits, log });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      for (const stream of [alice, bob]) await stream.take("welcome");
      for (let n = 1; n <= 50; n++) {
        await say(alice, n);
        await say(bob, n);
      }
      assert.ok(written >= 5 && written <= 12, `${written} snapshots of 100 records`);
    } finally {
      await pair.stop();
    }
  });
});

/** A log that may be another one from one call to the next. */
const forwarding = (log: () => SessionLog): SessionLog =>
  new Proxy(log(), { get: (_first, name) => Reflect.get(log(), name) });

/** The same session, without what stands behind `head`. */
async function shortened(
  log: SessionLog,
  head: number,
  epoch: string,
): Promise<SessionLog & ReturnType<typeof createMemoryLog>> {
  const shorter = createMemoryLog(Date.now);
  const client = { userId: "alice", clientId: "a" };
  const { generation } = await shorter.claim("demo", client, epoch);
  const records = await log.read("demo", 1, head, Number.MAX_SAFE_INTEGER);
  const writers = [{ ...client, generation, lastClientSeq: head }];
  await shorter.append("demo", { epoch, expectedHead: 0, records, writers });
  return shorter;
}
