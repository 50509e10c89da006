import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import type { RedisConnection } from "../../src/durable/redis-connection.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { alice, bytes, fill, plain, recordsAfter, writerOf } from "./log-contract.ts";
import { everything, type RedisBench, startBench } from "./redis-bench.ts";

const mib = 1024 * 1024;

/** A connection on which something happens elsewhere before a script, or a command that is none, is sent; once. */
function interrupted(connection: RedisConnection, before: string, happen: () => Promise<unknown>): RedisConnection {
  let hasHappened = false;
  const meet = async (name: string) => {
    if (name !== before || hasHappened) return;
    hasHappened = true;
    await happen();
  };
  return {
    ...connection,
    async run(script, keys, args) {
      await meet(script.name);
      return await connection.run(script, keys, args);
    },
    async command(name, ...args) {
      await meet(name);
      return await connection.command(name, ...args);
    },
  };
}

describeWithRedis("two instances on one Redis, one between two steps of the other", () => {
  let bench: RedisBench;
  let far: SessionLog;
  before(async () => {
    bench = await startBench();
  });
  beforeEach(async () => {
    await bench.command("FLUSHALL");
    far = await bench.open();
  });
  after(() => bench.dispose());

  async function near(name: string, happen: () => Promise<unknown>): Promise<SessionLog> {
    const connection = interrupted(await bench.connect(), name, happen);
    return createRedisLog({ connection, prefix: "baton:", now: Date.now });
  }

  test("SL1 a snapshot that is trimmed away while its parts are fetched is no damage: the one that is kept is found", async () => {
    const { epoch } = await fill(far, "s", 20);
    await far.putSnapshot("s", epoch, { seq: 10, bytes: new Uint8Array(5 * mib).fill(1) });
    let trimmed = 0;
    const log = await near("HGET", async () => {
      await far.putSnapshot("s", epoch, { seq: 20, bytes: bytes("twenty") });
      await far.trim("s", epoch, 20);
      trimmed += 1;
    });
    assert.equal((await log.latestSnapshot("s"))?.seq, 20);
    assert.equal(trimmed, 1);
    assert.equal(await log.latestSnapshot("s", 10), undefined);
  });

  test("SL1 one that is dropped meanwhile is passed over for an older one", async () => {
    const { epoch } = await fill(far, "s", 20);
    await far.putSnapshot("s", epoch, { seq: 5, bytes: bytes("five") });
    await far.putSnapshot("s", epoch, { seq: 10, bytes: new Uint8Array(5 * mib).fill(1) });
    const log = await near("HGET", () => far.dropSnapshot("s", epoch, 10));
    const found = await log.latestSnapshot("s");
    assert.deepEqual([found?.seq, new TextDecoder().decode(found?.bytes)], [5, "five"]);
  });

  for (const step of ["find-pack", "trim"]) {
    test(`SL2 a trim that a longer one of another instance overtakes does nothing, and the session is sound (${step})`, async () => {
      for (let n = 0; n < 3; n++) await fill(far, "s", 10);
      const claim = await far.claim("s", alice, "");
      for (const seq of [10, 20]) await far.putSnapshot("s", claim.epoch, { seq, bytes: bytes(`at ${seq}`) });
      let overtaken = 0;
      const log = await near(step, async () => {
        await far.trim("s", claim.epoch, 20);
        overtaken += 1;
      });
      await log.trim("s", claim.epoch, 10);
      assert.equal(overtaken, 1);
      const kept = recordsAfter(20, 10);
      assert.deepEqual(plain(await log.read("s", 21, everything, everything)), plain(kept));
      const state = await log.describe("s");
      assert.deepEqual([state?.first, state?.bytes], [21, kept.reduce((sum, { frame }) => sum + frame.length, 0)]);
      const batch = {
        epoch: claim.epoch,
        expectedHead: 30,
        records: recordsAfter(30, 1),
        writers: [writerOf(alice, claim, 31)],
      };
      assert.deepEqual(await log.append("s", batch), { kind: "appended" });
    });

    test(`SL2 a trim of a session that is deleted meanwhile does nothing to the one that follows (${step})`, async () => {
      const { epoch } = await fill(far, "s", 30);
      await far.putSnapshot("s", epoch, { seq: 10, bytes: bytes("ten") });
      const log = await near(step, async () => {
        await far.delete("s");
        await far.claim("s", alice, "another");
      });
      await log.trim("s", epoch, 10);
      const state = await log.describe("s");
      assert.deepEqual([state?.epoch, state?.first], ["another", 1]);
    });
  }
});
