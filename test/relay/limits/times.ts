import assert from "node:assert/strict";
import {
  GoAway_Reason as GoAwayReason,
  type SessionMessage,
  PresenceUpdate_Status as Status,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { tick } from "../../../src/relay/ticker.ts";
import { edit, type Stream, type TestRelay } from "../harness.ts";
import { until } from "../operators.ts";
import { type AtLimit, answerTo, custom, enter, withRelay } from "./with-relay.ts";

/** Time passes, and is looked at; what the relay has to say of it has come when the Ack of a message has. */
async function pass(relay: TestRelay, ms: number, stream: Stream, clientSeq: bigint): Promise<void> {
  relay.advance(ms);
  tick(relay.relay);
  assert.equal(await answerTo(stream, custom, clientSeq), "ack");
}

const has = (stream: Stream, accept: (message: SessionMessage) => boolean) => stream.received.some(accept);
const shows =
  (status: Status, userId: string) =>
  ({ payload, userId: of }: SessionMessage) =>
    payload.case === "presence" && payload.value.status === status && of === userId;

export const times = {
  async heartbeatMs() {
    await withRelay({ heartbeatMs: 5_000 }, async (relay) => {
      const alice = await enter(relay);
      const beats = () => alice.received.filter(({ payload }) => payload.case === "heartbeat").length;
      const before = beats();
      await pass(relay, 4_999, alice, 1n);
      assert.equal(beats(), before);
      await pass(relay, 1, alice, 2n);
      assert.equal(beats(), before + 1);
      // What is not heard for as long as this and 8 s more is silent.
      relay.advance(5_000 + 7_999);
      tick(relay.relay);
      assert.equal(await answerTo(alice, custom, 3n), "ack");
      relay.advance(5_000 + 8_000);
      tick(relay.relay);
      assert.equal((await alice.ended).fault?.reason, "CLIENT_SILENT");
    });
  },

  async streamAgeMs() {
    await withRelay({ streamAgeMs: 60_000 }, async (relay) => {
      const alice = await enter(relay);
      await pass(relay, 59_999, alice, 1n);
      assert.ok(!alice.kinds().includes("goAway"));
      await pass(relay, 1, alice, 2n);
      assert.equal((await alice.take("goAway")).reason, GoAwayReason.MAX_STREAM_AGE);
      relay.advance(5_000);
      tick(relay.relay);
      assert.equal((await alice.ended).fault?.reason, "MAX_STREAM_AGE");
    });
  },

  async idleMs() {
    await withRelay({ idleMs: 10_000 }, async (relay) => {
      await enter(relay, "alice");
      const bob = await enter(relay, "bob");
      await pass(relay, 9_999, bob, 1n);
      assert.ok(!has(bob, shows(Status.IDLE, "alice")));
      await pass(relay, 1, bob, 2n);
      assert.ok(has(bob, shows(Status.IDLE, "alice")));
    });
  },

  async leaveGraceMs() {
    await withRelay({ leaveGraceMs: 10_000 }, async (relay) => {
      const alice = await enter(relay, "alice");
      const bob = await enter(relay, "bob");
      alice.finish();
      await alice.ended;
      await pass(relay, 9_999, bob, 1n);
      assert.ok(!has(bob, shows(Status.LEFT, "alice")));
      await pass(relay, 1, bob, 2n);
      assert.ok(has(bob, shows(Status.LEFT, "alice")));
    });
  },

  async roomIdleMs() {
    await withRelay({ roomIdleMs: 10_000, userSessions: 1 }, async (relay) => {
      const alice = await enter(relay);
      alice.finish();
      await alice.ended;
      const room = relay.relay.rooms.present("demo");
      relay.advance(9_999);
      tick(relay.relay);
      assert.ok(room !== undefined && relay.relay.rooms.present("demo") === room);
      assert.equal((await (await relay.join({ session: "two" })).ended).fault?.reason, "USER_LIMIT");
      relay.advance(1);
      tick(relay.relay);
      assert.equal(relay.relay.rooms.present("demo"), undefined);
      await enter(relay, "alice", "two");
    });
  },

  async tokenSkewMs() {
    await withRelay({ tokenSkewMs: 10_000 }, async (relay) => {
      // Times of a token are whole seconds.
      relay.advance(1000 - (relay.now() % 1000));
      const token = await relay.token({ ttlSeconds: 60 });
      const alice = await relay.join({ token });
      await alice.take("welcome");
      await pass(relay, 60_000 + 9_999, alice, 1n);
      await (await relay.join({ token, clientId: "late" })).take("welcome");
      relay.advance(1);
      tick(relay.relay);
      assert.equal((await alice.ended).fault?.reason, "TOKEN_EXPIRED");
      const late = await relay.join({ token });
      assert.match((await late.ended).fault?.reason ?? "", /^TOKEN_(?:EXPIRED|INVALID)$/);
    });
  },

  async clientTtlMs() {
    const ttlMs = 1_000_000;
    for (const [afterMs, lastClientSeq] of [
      [ttlMs - 1, 1n],
      [ttlMs, 0n],
    ] as const) {
      await withRelay({ clientTtlMs: ttlMs, snapshotRecords: 1 }, async (relay) => {
        const alice = await enter(relay, "alice");
        assert.equal(await answerTo(alice, custom, 1n), "ack");
        await until(async () => (await relay.log.latestSnapshot("demo"))?.seq === 1);
        relay.advance(afterMs);
        const bob = await enter(relay, "bob");
        assert.equal(await answerTo(bob, custom, 1n), "ack");
        await until(async () => (await relay.log.latestSnapshot("demo"))?.seq === 2);
        const again = await relay.join({ as: "alice", clientId: "c" });
        assert.equal((await again.take("welcome")).lastClientSeq, lastClientSeq);
      });
    }
  },

  async fileHistory() {
    await withRelay({ fileHistory: 3 }, async (relay) => {
      const alice = await enter(relay, "alice");
      const bob = await enter(relay, "bob");
      for (let n = 1n; n <= 5n; n++) {
        assert.equal(await answerTo(alice, edit("a", Number(n) - 1, 0, 0, "x"), n), "ack");
      }
      assert.equal(await answerTo(bob, edit("a", 1, 0, 0, "y"), 1n), "STALE_VERSION");
      assert.equal(await answerTo(bob, edit("a", 2, 0, 0, "y"), 1n), "ack");
    });
  },
} satisfies Record<string, AtLimit>;
