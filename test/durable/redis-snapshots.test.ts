import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import type { RedisConnection } from "../../src/durable/redis-connection.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { bytes, fill } from "./log-contract.ts";
import { type RedisBench, startBench } from "./redis-bench.ts";

/** Two parts. */
const largeOf = (seed: number) => new Uint8Array(2 * 1024 * 1024 + 1).map((_, i) => (i * seed) >> 3);
const key = "{baton:}snapshots:s";

/** Every order in which these may happen, each of them as often as it is in the list. */
function* ordersOf<T>(events: readonly T[]): Generator<readonly T[], void> {
  if (events.length === 0) yield [];
  for (const first of new Set(events)) {
    const rest = [...events];
    rest.splice(rest.indexOf(first), 1);
    for (const order of ordersOf(rest)) yield [first, ...order];
  }
}

/** A way on which each part of a snapshot waits until it is let go. */
function holdParts(connection: RedisConnection) {
  const waiting: (() => void)[] = [];
  let came = () => {};
  return {
    connection: {
      ...connection,
      run: async (...[script, keys, args]: Parameters<RedisConnection["run"]>) => {
        if (script.name === "put-snapshot") {
          await new Promise<void>((resolve) => {
            waiting.push(resolve);
            came();
          });
        }
        return await connection.run(script, keys, args);
      },
    },
    /** Lets one part go, and resolves when the next waits, or `done`. */
    async step(done: Promise<void>): Promise<void> {
      const next = new Promise<void>((resolve) => {
        came = resolve;
      });
      waiting.shift()?.();
      await Promise.race([next, done]);
    },
    get isWaiting() {
      return waiting.length > 0;
    },
  };
}

describeWithRedis("snapshots on Redis that several instances write at once", () => {
  let bench: RedisBench;
  before(async () => {
    bench = await startBench({ appendfsync: "no" });
  });
  beforeEach(() => bench.command("FLUSHALL"));
  after(() => bench.dispose());

  const openHeld = async () => {
    const held = holdParts(await bench.connect());
    return { held, log: createRedisLog({ connection: held.connection, prefix: "baton:", now: Date.now }) };
  };

  const bothKinds = [
    { what: "two snapshots", seeds: [31, 37] },
    { what: "two alike", seeds: [31, 31] },
  ];
  for (const { what, seeds } of bothKinds) {
    test(`RL11 of ${what} of one seq one is kept, whole, in whichever order their parts come and whenever one is dropped`, async () => {
      const plain = await bench.open();
      const { epoch } = await fill(plain, "s", 10);
      const [one, two] = [await openHeld(), await openHeld()];
      const written = seeds.map(largeOf);
      let orders = 0;
      let kept = 0;
      for (const order of ordersOf(["one", "one", "two", "two", "drop"] as const)) {
        const says = order.join(", ");
        const putting = [one, two].map(({ log }, index) =>
          log.putSnapshot("s", epoch, { seq: 8, bytes: written[index] ?? new Uint8Array() }),
        );
        for (const who of order) {
          if (who === "drop") await plain.dropSnapshot("s", epoch, 8);
          else if (who === "one") await one.held.step(putting[0] ?? Promise.resolve());
          else await two.held.step(putting[1] ?? Promise.resolve());
        }
        await Promise.all(putting);
        assert.deepEqual([one.held.isWaiting, two.held.isWaiting], [false, false], says);
        const found = await plain.latestSnapshot("s");
        const isThere = (await bench.command("HGET", key, "8")) !== null;
        assert.equal(found !== undefined, isThere, `what is there is whole: ${says}`);
        assert.ok(found === undefined || written.some((whole) => Buffer.from(found.bytes).equals(whole)), says);
        if (order.at(-1) === "drop") assert.equal(isThere, false, says);
        if (order[0] === "drop") assert.equal(isThere, true, says);
        await plain.putSnapshot("s", epoch, { seq: 9, bytes: bytes("nine") });
        assert.equal(await bench.command("HLEN", key), isThere ? 5 : 2, `no part is of none: ${says}`);
        await bench.command("DEL", key);
        orders += 1;
        if (isThere) kept += 1;
      }
      assert.equal(orders, 30);
      assert.ok(kept >= 12 && kept < 30, `${kept}`);
    });
  }

  test("RL11 of a snapshot that is refused half way no part stays; nor of one whose place another has taken whole", async () => {
    const plain = await bench.open();
    const { epoch } = await fill(plain, "s", 10);
    const refused = await openHeld();
    const refusing = refused.log.putSnapshot("s", epoch, { seq: 8, bytes: largeOf(31) });
    await refused.held.step(refusing);
    const other = await plain.renewEpoch("s", epoch, crypto.randomUUID());
    assert.equal(await bench.command("HLEN", key), 1);
    await refused.held.step(refusing);
    await refusing;
    assert.equal(await bench.command("HLEN", key), 0);
    const late = await openHeld();
    const lateOne = late.log.putSnapshot("s", other, { seq: 9, bytes: largeOf(31) });
    await late.held.step(lateOne);
    await plain.putSnapshot("s", other, { seq: 9, bytes: bytes("nine") });
    assert.equal(await bench.command("HLEN", key), 2);
    await late.held.step(lateOne);
    await lateOne;
    assert.equal(await bench.command("HLEN", key), 2);
  });

  test("RL11 what an instance left that died between two parts goes with the next snapshot; what another is writing stays", async () => {
    const plain = await bench.open();
    const { epoch } = await fill(plain, "s", 10);
    const [dying, later] = [await openHeld(), await openHeld()];
    const never = dying.log.putSnapshot("s", epoch, { seq: 5, bytes: largeOf(31) });
    await dying.held.step(never);
    const putting = later.log.putSnapshot("s", epoch, { seq: 9, bytes: largeOf(37) });
    await later.held.step(putting);
    assert.equal(await bench.command("HLEN", key), 2);
    await plain.putSnapshot("s", epoch, { seq: 7, bytes: bytes("seven") });
    assert.equal(await bench.command("HLEN", key), 3);
    await later.held.step(putting);
    await putting;
    assert.deepEqual((await plain.latestSnapshot("s"))?.seq, 9);
    // It was not dead.
    await dying.held.step(never);
    await never;
    assert.equal(await bench.command("HLEN", key), 2 + 3);
    assert.equal((await plain.latestSnapshot("s", 6))?.seq, undefined);
  });
});
