import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMemoryLog } from "../../../src/durable/log-memory.ts";
import { PresenceUpdate_Status as Status } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { windowBytes } from "../../../src/relay/edge/hop-credits.ts";
import { SessionHost } from "../../../src/relay/edge/host.ts";
import { encodeShelf } from "../../../src/relay/edge/host-note.ts";
import { defaultLimits } from "../../../src/session/limits.ts";
import { type EdgeSetup, startEdge, type TestEdge } from "./harness.ts";

const custom = { case: "custom", value: { type: "t", data: new Uint8Array(8) } } as const;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function withEdge(setup: EdgeSetup, run: (edge: TestEdge) => Promise<void>): Promise<void> {
  const edge = await startEdge(setup);
  try {
    await run(edge);
  } finally {
    await edge.stop();
  }
}

describe("what one life in memory leaves to the next", () => {
  test("EG60 what a client sends in many lives of its object is accounted for in all of them", async () => {
    await withEdge({}, async (edge) => {
      const alice = await edge.join({ as: "alice" });
      await alice.take("welcome");
      const data = new Uint8Array(100 * 1024);
      const messages = Math.ceil((3 * windowBytes) / data.length);
      const before = edge.objects.evictions;
      for (let n = 1; n <= messages; n++) {
        alice.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
        assert.equal((await alice.take("ack")).seq, BigInt(n));
      }
      assert.ok(edge.objects.evictions - before >= messages - 1);
      alice.cut();
    });
  });

  test("EG61 a stream that its object has ended is over in the next life too, however long its link takes to close", async () => {
    const closing = Promise.withResolvers<void>();
    await withEdge({ closes: () => closing.promise }, async (edge) => {
      const bob = await edge.join({ as: "bob" });
      await bob.take("welcome");
      const older = await edge.join({ as: "alice", clientId: "a" });
      await older.take("welcome");
      const newer = await edge.join({ as: "alice", clientId: "a" });
      await newer.take("welcome");
      assert.equal((await older.ended).fault?.reason, "SUPERSEDED");
      const before = edge.objects.evictions;
      for (let n = 1; n <= 3; n++) {
        newer.send(custom, { clientSeq: BigInt(n) });
        assert.equal((await newer.take("ack")).seq, BigInt(n));
        await bob.take("custom");
      }
      assert.ok(edge.objects.evictions > before);
      closing.resolve();
      await pause(50);
      edge.advance(20_000);
      newer.send(custom, { clientSeq: 4n });
      await newer.take("ack");
      await bob.take("custom");
      const left = bob.received.filter(
        ({ payload }) => payload.case === "presence" && payload.value.status === Status.LEFT,
      );
      assert.equal(left.length, 0);
      newer.cut();
      bob.cut();
    });
  });

  for (const [where, never] of [
    ["cannot be reached", { reaches: () => new Promise<void>(() => undefined) }],
    ["does not come into memory", { wakes: () => new Promise<void>(() => undefined) }],
  ] as const) {
    test(`EG64 whoever waits for an object that ${where}, and never says so, is told after 30 s`, async () => {
      await withEdge(never, async (edge) => {
        const alice = await edge.join({ as: "alice" });
        await alice.take("heartbeat");
        await pause(50);
        edge.advance(29_000);
        await pause(100);
        alice.send({ case: "heartbeat", value: {} });
        edge.advance(1_000);
        assert.equal((await alice.ended).fault?.reason, "LOG_UNAVAILABLE");
      });
    });
  }

  test("EG62 a session whose room its object has given up is deleted at its age all the same", async () => {
    await withEdge({ evicts: () => false, limits: { logAgeMs: 3_600_000, roomIdleMs: 60_000 } }, async (edge) => {
      const alice = await edge.join({ as: "alice" });
      await alice.take("welcome");
      alice.send(custom, { clientSeq: 1n });
      await alice.take("ack");
      alice.cut();
      await alice.ended;
      await pause(50);
      edge.advance(120_000);
      await edge.objects.describe("demo");
      await edge.objects.describe("demo");
      edge.advance(3_600_000);
      for (let n = 0; n < 100 && (await edge.log.describe("demo")) !== undefined; n++) await pause(10);
      assert.equal(await edge.log.describe("demo"), undefined);
    });
  });

  test("EG62 a session is deleted where the alarm comes to the millisecond, or that rings again", async () => {
    let nowMs = 1_000_000;
    const now = () => nowMs;
    const log = createMemoryLog(now);
    const limits = { ...defaultLimits, logAgeMs: 1_000 };
    let alarmAtMs = Number.POSITIVE_INFINITY;
    const host = new SessionHost({
      log,
      limits,
      now,
      newId: () => crypto.randomUUID(),
      defer: (run) => void setTimeout(run, 0),
      resumeSecret: async () => new Uint8Array(32),
      links: () => [],
      readShelf: async () => encodeShelf({ sessionId: "demo", away: [] }),
      writeShelf: () => undefined,
      setAlarm(atMs) {
        alarmAtMs = Math.min(alarmAtMs, atMs);
      },
      stayAwake: () => undefined,
      tree: {
        name: "demo",
        objects: { parent: () => assert.fail(), child: () => assert.fail() },
        read: async () => undefined,
        write: () => undefined,
        forget: () => undefined,
        later: () => undefined,
        random: () => 0,
      },
    });
    await log.claim("demo", { userId: "alice", clientId: "a" }, "e");
    nowMs += limits.logAgeMs;
    await host.alarm();
    for (let rung = 0; alarmAtMs < Number.POSITIVE_INFINITY; rung++) {
      assert.ok(rung < 3, "an alarm that rings for nothing");
      nowMs = alarmAtMs;
      alarmAtMs = Number.POSITIVE_INFINITY;
      await host.alarm();
    }
    assert.equal(await log.describe("demo"), undefined);
  });
});
