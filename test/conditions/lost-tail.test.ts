import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { createClient } from "@redis/client";
import { Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { readRecords } from "../../trial/log.ts";
import type { Stream } from "../relay/harness.ts";
import { startAnswerProxy } from "../support/answer-proxy.ts";
import { describeWithRedis, startRedis, type TestRedis } from "../support/redis-server.ts";
import { custom, Meanings, startWholeRelay, type WholeRelay } from "./whole-relay.ts";

/** As somebody with `redis-cli`. */
async function command({ url }: Pick<TestRedis, "url">, ...args: readonly string[]): Promise<unknown> {
  const client = createClient({ url, RESP: 2 });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await client.sendCommand(args);
  } finally {
    client.destroy();
  }
}

const reasonOf = async (stream: Stream) => (await stream.ended).fault?.reason;

/** Says something and waits until all have it. */
async function say(speaker: Stream, type: string, clientSeq: bigint, listeners: readonly Stream[]): Promise<bigint> {
  speaker.send(custom(type), { clientSeq });
  const { seq } = await speaker.take("ack");
  for (const listener of listeners) {
    await listener.takeMessage("custom", ({ payload }) => payload.case === "custom" && payload.value.type === type);
  }
  return seq;
}

describeWithRedis("instances on a Redis that loses what it acked", () => {
  const toEnd: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of toEnd.splice(0).reverse()) await end();
  });
  const redisWith = async (settings: Readonly<Record<string, string>> = {}) => {
    const redis = await startRedis({ "repl-diskless-sync-delay": "0", ...settings });
    toEnd.push(() => redis.dispose());
    return redis;
  };
  const relayOn = async (url: string): Promise<WholeRelay> => {
    const relay = await startWholeRelay({ kind: "redis", url, prefix: "baton:" });
    toEnd.push(() => relay.stop());
    return relay;
  };
  const lost = async (...relays: WholeRelay[]) => {
    const counts = await Promise.all(relays.map((relay) => relay.metric("baton_tails_lost_total")));
    return counts.reduce((sum, count) => sum + count, 0);
  };

  test("BC9 a restart from an older dump ends every stream EPOCH_CHANGED, is counted once, and no place means two things", async () => {
    const redis = await redisWith({ appendonly: "no" });
    const [here, there] = [await relayOn(redis.url), await relayOn(redis.url)];
    const alice = await here.join({ as: "alice", clientId: "a" });
    const bob = await there.join({ as: "bob", clientId: "b" });
    const carol = await there.join({ as: "carol", clientId: "c" });
    const { epoch, resumeToken } = await alice.take("welcome");
    for (const stream of [bob, carol]) await stream.take("welcome");
    const meanings = new Meanings();
    await say(alice, "one", 1n, [bob, carol]);
    await say(bob, "two", 1n, [alice, carol]);
    await command(redis, "SAVE");
    assert.equal(await say(alice, "three, lost", 2n, [bob, carol]), 3n);
    meanings.note(epoch, carol.received);
    await redis.kill();
    await redis.start();
    // Nobody writes: each is told all the same.
    for (const stream of [alice, bob, carol]) assert.equal(await reasonOf(stream), "EPOCH_CHANGED");
    assert.equal(await lost(here, there), 1);
    const back = await there.join({ as: "alice", resumeToken, lastSeq: 3n });
    const welcome = await back.take("welcome");
    assert.notEqual(welcome.epoch, epoch);
    assert.deepEqual([welcome.outcome, welcome.headSeq, welcome.lastClientSeq], [Outcome.RESYNCED, 2n, 1n]);
    const other = await here.join({ as: "bob", clientId: "b" });
    assert.equal((await other.take("welcome")).epoch, welcome.epoch);
    assert.equal(await say(back, "three, anew", 2n, [other]), 3n);
    meanings.note(welcome.epoch, [...back.received, ...other.received]);
    const records = await readRecords(here.client, "demo", await here.token("reader"));
    assert.deepEqual(
      records.map(({ payload }) => payload.case === "custom" && payload.value.type),
      ["one", "two", "three, anew"],
    );
    assert.equal(await lost(here, there), 1);
  });

  test("BC10 of two servers that both took writes, what one loses to the other is found: its streams end EPOCH_CHANGED", async () => {
    const [first, second] = [await redisWith(), await redisWith()];
    const proxy = await startAnswerProxy(first.port);
    toEnd.push(() => proxy.close());
    const here = await relayOn(`redis://127.0.0.1:${proxy.port}`);
    const alice = await here.join({ as: "alice", clientId: "a" });
    const { epoch, resumeToken } = await alice.take("welcome");
    await say(alice, "one", 1n, []);
    await follow(second, first);
    await command(second, "REPLICAOF", "NO", "ONE");
    // Apart: each takes what comes to it, to the same places.
    const there = await relayOn(second.url);
    const bob = await there.join({ as: "bob", clientId: "b" });
    assert.equal((await bob.take("welcome")).epoch, epoch);
    await say(bob, "two of bob", 1n, []);
    await say(alice, "two of alice", 2n, []);
    // Together again: the second wins, and all go to it.
    proxy.targetPort = second.port;
    proxy.cut();
    assert.equal(await reasonOf(alice), "EPOCH_CHANGED");
    assert.equal(await reasonOf(bob), "EPOCH_CHANGED");
    assert.equal(await lost(here, there), 1);
    const back = await here.join({ as: "alice", resumeToken, lastSeq: 2n });
    const welcome = await back.take("welcome");
    assert.notEqual(welcome.epoch, epoch);
    assert.deepEqual([welcome.outcome, welcome.headSeq, welcome.lastClientSeq], [Outcome.RESYNCED, 2n, 1n]);
    assert.equal(await say(back, "three", 2n, []), 3n);
  });

  test("BC11 a copy that is behind and takes no writes answers nobody: joins wait, streams live on, and the head never goes back", async () => {
    const [primary, replica] = [await redisWith(), await redisWith()];
    const proxy = await startAnswerProxy(primary.port);
    toEnd.push(() => proxy.close());
    const here = await relayOn(`redis://127.0.0.1:${proxy.port}`);
    const there = await relayOn(primary.url);
    const alice = await here.join({ as: "alice", clientId: "a" });
    const { epoch, resumeToken } = await alice.take("welcome");
    const bob = await there.join({ as: "bob", clientId: "b" });
    await bob.take("welcome");
    await say(alice, "one", 1n, [bob]);
    await follow(replica, primary);
    // It hears of nothing more, and does not know.
    await command(replica, "REPLICAOF", "127.0.0.1", "1");
    await say(bob, "two", 1n, [alice]);
    proxy.targetPort = replica.port;
    proxy.cut();
    // By this way there is only a copy: who comes is told to try again, and by the other all goes on.
    const carol = await here.join({ as: "carol", clientId: "c" });
    assert.equal(await reasonOf(carol), "LOG_UNAVAILABLE");
    await say(bob, "three", 2n, []);
    proxy.targetPort = primary.port;
    proxy.cut();
    const { seq } = await alice.takeMessage(
      "custom",
      ({ payload }) => payload.case === "custom" && payload.value.type === "three",
    );
    assert.equal(seq, 3n);
    const back = await here.join({ as: "alice", resumeToken, lastSeq: 3n });
    const welcome = await back.take("welcome");
    assert.deepEqual([welcome.outcome, welcome.epoch, welcome.headSeq], [Outcome.RESUMED, epoch, 3n]);
    assert.equal(await lost(here, there), 0);
  });

  test("BC12 a session of which a part was thrown out is LOG_DAMAGED for all, on each instance, and the others go on", async () => {
    const redis = await redisWith();
    const [here, there] = [await relayOn(redis.url), await relayOn(redis.url)];
    const alice = await here.join({ as: "alice", clientId: "a" });
    await alice.take("welcome");
    const well = await here.join({ as: "alice", session: "well", clientId: "a" });
    await well.take("welcome");
    for (let n = 1n; n <= 3n; n++) await say(alice, `m${n}`, n, []);
    await say(well, "one", 1n, []);
    assert.equal(await command(redis, "XDEL", "{baton:}records:demo", "2-0"), 1);
    const bob = await there.join({ as: "bob", clientId: "b" });
    assert.equal(await reasonOf(bob), "LOG_DAMAGED");
    await command(redis, "DEL", "{baton:}records:demo");
    alice.send(custom("m4"), { clientSeq: 4n });
    assert.equal(await reasonOf(alice), "LOG_DAMAGED");
    assert.equal((await alice.ended).error?.code, 15);
    assert.equal(alice.received.filter(({ payload }) => payload.case === "ack").length, 0);
    const other = await there.join({ as: "bob", session: "well", clientId: "b" });
    assert.equal((await other.take("welcome")).headSeq, 1n);
    await say(well, "two", 2n, [other]);
  });
});

/** Makes one a replica of the other, and waits until it has what that has. */
async function follow(replica: TestRedis, primary: TestRedis): Promise<void> {
  await command(replica, "REPLICAOF", "127.0.0.1", String(primary.port));
  const offset = /master_repl_offset:(\d+)/.exec(String(await command(primary, "INFO", "replication")))?.[1];
  for (let tries = 0; tries < 500; tries++) {
    const info = String(await command(replica, "INFO", "replication"));
    const own = Number(/slave_repl_offset:(\d+)/.exec(info)?.[1] ?? -1);
    if (/master_link_status:up/.test(info) && own >= Number(offset)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("the replica has not followed");
}
