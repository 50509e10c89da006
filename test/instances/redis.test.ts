import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { createRedisBus } from "../../src/durable/bus-redis.ts";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";
import { Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type RedisBench, startBench } from "../durable/redis-bench.ts";
import { type Stream, startRelay, type TestRelay } from "../relay/harness.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { say } from "./pair.ts";

describeWithRedis("instances on one Redis", () => {
  let bench: RedisBench;
  const relays: { readonly relay: TestRelay; readonly close: () => Promise<void> }[] = [];
  before(async () => {
    bench = await startBench();
  });
  beforeEach(() => bench.command("FLUSHALL"));
  afterEach(async () => {
    for (const { relay, close } of relays.splice(0)) {
      await relay.stop();
      await close();
    }
  });
  after(() => bench.dispose());

  const start = async (): Promise<TestRelay> => {
    const connection = await connectRedisTcp({ url: bench.redis.url });
    const bus = createRedisBus(connection, { prefix: "baton:", instanceId: crypto.randomUUID() });
    const log = createRedisLog({ connection, prefix: "baton:", now: Date.now });
    const relay = await startRelay({ log, bus });
    relays.push({
      relay,
      close: async () => {
        bus.close();
        await log.close();
      },
    });
    return relay;
  };
  const names = ["session:demo", "records:demo"].map((name) => `{baton:}${name}`);
  const copy = async (from: string, to: string) => {
    for (const name of names) await bench.command("COPY", `${from}${name}`, `${to}${name}`, "REPLACE");
  };
  const reasonOf = async (stream: Stream) => (await stream.ended).fault?.reason;

  test("RL20 after FLUSHALL streams end EPOCH_CHANGED when the session is next written or looked at; then it is empty", async () => {
    const [here, there] = [await start(), await start()];
    const alice = await here.join({ as: "alice" });
    const { epoch, resumeToken } = await alice.take("welcome");
    const bob = await there.join({ as: "bob" });
    await bob.take("welcome");
    await say(alice, 1);
    await say(bob, 1);
    await bench.command("FLUSHALL");
    alice.send({ case: "custom", value: { type: "said" } }, { clientSeq: 2n });
    assert.equal(await reasonOf(alice), "EPOCH_CHANGED");
    const back = await here.join({ as: "alice", resumeToken, lastSeq: 2n });
    const welcome = await back.take("welcome");
    assert.deepEqual([welcome.outcome, welcome.headSeq, welcome.lastClientSeq], [Outcome.RESYNCED, 0n, 0n]);
    assert.notEqual(welcome.epoch, epoch);
    assert.equal(await reasonOf(bob), "EPOCH_CHANGED");
    assert.equal(await say(back, 1), 1n);
  });

  test("RL20 what a failover lost ends the streams EPOCH_CHANGED, also of those who only look on, and nobody writes behind it", async () => {
    const [here, there] = [await start(), await start()];
    const alice = await here.join({ as: "alice" });
    const { epoch } = await alice.take("welcome");
    const bob = await there.join({ as: "bob" });
    await bob.take("welcome");
    assert.equal(await say(alice, 1), 1n);
    await copy("", "kept ");
    assert.equal(await say(alice, 2), 2n);
    assert.equal((await bob.takeMessage("custom")).seq, 1n);
    assert.equal((await bob.takeMessage("custom")).seq, 2n);
    await copy("kept ", "");
    bob.send({ case: "custom", value: { type: "said" } }, { clientSeq: 1n });
    assert.equal(await reasonOf(bob), "EPOCH_CHANGED");
    assert.equal(await reasonOf(alice), "EPOCH_CHANGED");
    const back = await there.join({ as: "bob" });
    const welcome = await back.take("welcome");
    assert.notEqual(welcome.epoch, epoch);
    assert.equal(welcome.headSeq, 1n);
    assert.equal(await say(back, 1), 2n);
  });
});
