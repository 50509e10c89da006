import assert from "node:assert/strict";
import { test } from "node:test";
import { startRelay } from "./harness.ts";
import { assertAlive, until } from "./operators.ts";

const hourMs = 3_600_000;

test("SN2 a living room forgets the clients that its snapshots leave out, and the next room knows the same", async () => {
  const relay = await startRelay({
    limits: { snapshotRecords: 4, heartbeatMs: 1e9, streamAgeMs: 1e9, messagesPerSecond: 1e6, messagesBurst: 1e6 },
  });
  try {
    const token = (sub: string) => relay.token({ sub, ttlSeconds: 1e6 });
    for (let n = 0; n < 3; n++) {
      const brief = await relay.join({ token: await token("alice"), clientId: `brief-${n}` });
      await brief.take("welcome");
      await assertAlive(brief, 1n);
      brief.finish();
      await brief.ended;
    }
    const bob = await relay.join({ token: await token("bob"), clientId: "b" });
    await bob.take("welcome");
    const known = () =>
      [...(relay.relay.rooms.present("demo")?.state.clients.values() ?? [])].map((one) => one.clientId);
    await assertAlive(bob, 1n);
    assert.equal(known().length, 4);
    relay.advance(49 * hourMs);
    for (let n = 2n; n <= 5n; n++) await assertAlive(bob, n);
    assert.deepEqual(known(), ["b"]);
    // The next room starts from the snapshot before the newest.
    for (let n = 6n; n <= 9n; n++) await assertAlive(bob, n);
    const next = await startRelay({ log: relay.log });
    next.advance(49 * hourMs);
    await until(async () => (await relay.log.latestSnapshot("demo"))?.seq === 12);
    const again = await next.join({ token: await token("alice"), clientId: "brief-1" });
    const here = await relay.join({ token: await token("alice"), clientId: "brief-2" });
    for (const stream of [again, here]) assert.equal((await stream.take("welcome")).lastClientSeq, 0n);
    await next.stop();
  } finally {
    await relay.stop();
  }
});
