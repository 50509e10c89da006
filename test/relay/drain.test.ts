import assert from "node:assert/strict";
import { test } from "node:test";
import { GoAway_Reason as GoAwayReason } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { joinDeaf, openCrowd } from "./crowd.ts";
import { type Stream, startRelay } from "./harness.ts";
import { holdLog, until } from "./operators.ts";

const drainMs = 4_000;

test("LC1 a drain tells 500 streams to go, loses nothing that was acked, and does not wait for one that reads nothing", async () => {
  const relay = await startRelay({ limits: { drainMs, messagesBurst: 1000, unackedBytes: 1 << 30 } });
  try {
    const crowd = await openCrowd(relay, { size: 500 });
    for (const { stream, session } of crowd) stream.send({ case: "join", value: {} }, { sessionId: session });
    await Promise.all(crowd.map(({ stream }) => stream.take("welcome")));
    const deaf = await joinDeaf(relay, "deaf", "loud");
    const loud = await relay.join({ as: "loud", session: "loud" });
    // More than a socket holds.
    const data = new Uint8Array(200_000);
    for (let n = 1n; n <= 40n; n++) {
      loud.send({ case: "custom", value: { data } }, { clientSeq: n });
      await loud.take("ack");
    }
    const { participants } = relay.relay.rooms.present("loud") ?? {};
    const behind = [...(participants?.values() ?? [])].filter(({ reader }) => reader.blockedSinceMs !== undefined);
    assert.deepEqual(
      behind.map(({ identity }) => identity.userId),
      ["deaf"],
    );
    // In flight when the drain begins.
    for (const { stream } of crowd) stream.send({ case: "custom", value: {} }, { clientSeq: 1n });
    const beganMs = Date.now();
    const drained = relay.drain();
    const ends = await Promise.all(crowd.map(({ stream }) => stream.ended));
    await drained;
    assert.ok(Date.now() - beganMs < drainMs, `${Date.now() - beganMs} ms`);
    assert.ok(ends.every(({ fault }) => fault?.reason === "DRAIN"));

    const spread = crowd.map(({ stream }) => goAwayOf(stream));
    assert.ok(spread.every((afterMs) => afterMs >= 0 && afterMs < drainMs));
    // Of 500 even chances, fewer than 150 on one side come once in 10^19 runs.
    const early = spread.filter((afterMs) => afterMs < drainMs / 2).length;
    assert.ok(early > 150 && early < 350, String(early));

    let acks = 0;
    for (const { stream, session, user } of crowd) {
      if (!stream.kinds().includes("ack")) continue;
      acks += 1;
      const { seq } = await stream.take("ack");
      assert.equal((await relay.log.read(session, Number(seq), Number(seq), 1 << 20)).length, 1, user);
    }
    assert.ok(acks > 0);
    deaf.socket.destroy();
  } finally {
    await relay.stop();
  }
});

test("LC1 LM10 who waits to be let in when the relay drains is told so at once", async () => {
  const held = holdLog("claim");
  const relay = await startRelay({ log: held.log, limits: { joins: 1, drainMs: 1000 } });
  try {
    held.begin();
    const first = await relay.join({ as: "first" });
    await held.asked;
    const waiting = await relay.join({ as: "waiting" });
    await until(() => relay.relay.admission.load.waiting === 1);
    const drained = relay.drain();
    assert.equal((await waiting.ended).fault?.reason, "DRAIN");
    held.release();
    assert.equal((await first.ended).fault?.reason, "DRAIN");
    await drained;
  } finally {
    await relay.stop();
  }
});

test("LC1 what is on its way into the log when the relay drains is answered before its stream ends", async () => {
  const held = holdLog("append");
  const relay = await startRelay({ log: held.log });
  try {
    const alice = await relay.join();
    await alice.take("welcome");
    held.begin();
    alice.send({ case: "custom", value: {} }, { clientSeq: 1n });
    await held.asked;
    const drained = relay.drain();
    await alice.take("goAway");
    held.release();
    assert.equal((await alice.take("ack")).seq, 1n);
    assert.equal((await alice.ended).fault?.reason, "DRAIN");
    await drained;
  } finally {
    await relay.stop();
  }
});

/** When a stream was told to come back; nothing but what was on its way followed. */
function goAwayOf({ received }: Stream): number {
  for (const { payload } of received) {
    if (payload.case !== "goAway") continue;
    assert.equal(payload.value.reason, GoAwayReason.DRAIN);
    return Number(payload.value.reconnectAfterMs);
  }
  return assert.fail("no GoAway came before the end");
}
