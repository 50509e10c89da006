import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { afterEach, test } from "node:test";
import { createRedisBus } from "../../src/durable/bus-redis.ts";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import { appendScript } from "../../src/durable/redis-scripts/append.ts";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { readRecords } from "../../trial/log.ts";
import { useUpstash } from "../durable/upstash-place.ts";
import { type Stream, startRelay, type TestRelay } from "../relay/harness.ts";
import { createRandom } from "../support/random.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import type { RequestFault } from "../support/upstash-bridge.ts";
import { custom, startWholeRelay, type WholeRelay } from "./whole-relay.ts";

const appendHash = createHash("sha1").update(`#!lua flags=allow-key-locking\n${appendScript.lua}`).digest("hex");
const isAppend = ([name, script]: readonly string[]) => name === "EVALSHA" && script === appendHash;
const instead = (status: number, error: string): RequestFault => ({
  kind: "instead",
  status,
  body: JSON.stringify({ error }),
});
const typesOf = ({ received }: Pick<Stream, "received">) =>
  received.flatMap(({ payload, userId }) => (payload.case === "custom" ? [`${userId} ${payload.value.type}`] : []));

describeWithRedis("whole relays on a Redis over REST", () => {
  const relays: WholeRelay[] = [];
  // Before the place looks whether anybody is left.
  afterEach(async () => {
    place.bridge.faultOf = () => undefined;
    for (const relay of relays.splice(0)) await relay.stop();
  });
  const place = useUpstash();
  const start = async (prefix: string) => {
    const { url, token } = place.bridge;
    const relay = await startWholeRelay({ kind: "upstash", url, token, prefix });
    relays.push(relay);
    return relay;
  };
  /** The next appends fare so, in this order; all are counted. */
  const appendsFare = (faults: readonly (RequestFault | undefined)[]) => {
    const made = { appends: 0 };
    place.bridge.faultOf = (command) => (isAppend(command) ? faults[made.appends++] : undefined);
    return made;
  };
  const couple = async (prefix: string) => {
    const [here, there] = [await start(prefix), await start(prefix)];
    const alice = await here.join({ as: "alice", clientId: "a" });
    const bob = await there.join({ as: "bob", clientId: "b" });
    const { resumeToken } = await alice.take("welcome");
    await bob.take("welcome");
    alice.send(custom("first"), { clientSeq: 1n });
    await alice.take("ack");
    await bob.takeMessage("custom");
    return { here, there, alice, bob, resumeToken };
  };

  for (const [what, fault, times] of [
    ["lost", { kind: "answer lost" }, 6],
    ["cut", { kind: "answer cut" }, 2],
  ] as const) {
    test(`BC6 an append whose answer is ${what} ${times} times is in the log once, acked with its first place, and told once`, async () => {
      const { here, alice, bob } = await couple(`answers-${what}:`);
      const made = appendsFare(Array.from({ length: times }, () => fault));
      alice.send(custom("mine"), { clientSeq: 2n });
      assert.equal((await alice.take("ack")).seq, 2n);
      assert.ok(made.appends > times, `${made.appends} appends`);
      await bob.takeMessage("custom");
      bob.send(custom("after"), { clientSeq: 1n });
      assert.equal((await bob.take("ack")).seq, 3n);
      await alice.takeMessage("custom");
      const records = await readRecords(here.client, "demo", await here.token("reader"));
      assert.deepEqual(typesOf({ received: [...records] }), ["alice first", "alice mine", "bob after"]);
      assert.deepEqual([typesOf(alice), typesOf(bob)], [[], []]);
    });
  }

  test("BC6 an append that comes to the server twice is in the log once, and its writer is told as much", async () => {
    const { here, alice, bob } = await couple("doubled:");
    const made = appendsFare(Array.from({ length: 40 }, () => ({ kind: "doubled" })));
    for (let n = 2n; n <= 6n; n++) {
      alice.send(custom(`m${n}`), { clientSeq: n });
      const ack = await alice.take("ack");
      assert.deepEqual([ack.clientSeq, ack.seq], [n, n]);
    }
    assert.ok(made.appends >= 5);
    for (let n = 2n; n <= 6n; n++) assert.equal((await bob.takeMessage("custom")).seq, n);
    const records = await readRecords(here.client, "demo", await here.token("reader"));
    assert.equal(records.length, 6);
    assert.deepEqual([typesOf(alice), typesOf(bob)], [[], []]);
  });

  for (const [what, status, text] of [
    ["a request that is too large", 400, "ERR max request size exceeded. Limit: 1048576 bytes, Actual: 1048577 bytes"],
    ["a record that is too large", 400, "ERR max single record size exceeded. Limit: 104857600 bytes"],
    ["a database that is full", 400, "ERR DB capacity quota exceeded. Limit: 268435456 bytes"],
  ] as const) {
    test(`BC8 ${what} is LOG_FULL with a time to come back, asked for once, and the same number is taken later`, async () => {
      const { alice } = await couple(`full-${status}-${text.length}:`);
      const made = appendsFare([instead(status, text)]);
      alice.send(custom("large"), { clientSeq: 2n });
      const fault = await alice.take("fault");
      assert.deepEqual([fault.reason, fault.action, fault.clientSeq], ["LOG_FULL", Action.RETRY, 2n]);
      assert.ok(fault.retryAfterMs > 0n);
      assert.equal(made.appends, 1);
      alice.send(custom("large"), { clientSeq: 2n });
      assert.equal((await alice.take("ack")).seq, 2n);
      assert.equal(made.appends, 2);
    });
  }

  test("BC8 a plan that is used up is waited out, seldom: a few attempts, and the message is in once", async () => {
    const { alice, bob } = await couple("plan:");
    const limit = instead(400, "ERR max requests limit exceeded. Limit: 500000, Usage: 500000.");
    const made = appendsFare([limit, instead(429, "Too Many Requests")]);
    alice.send(custom("late"), { clientSeq: 2n });
    assert.equal((await alice.take("ack")).seq, 2n);
    assert.equal(made.appends, 3);
    await bob.takeMessage("custom");
  });

  test("BC8 a token that was rotated ends the streams that write LOG_UNAVAILABLE, after few requests; with a new one all is there", async () => {
    const { alice, bob, resumeToken } = await couple("token:");
    let refused = 0;
    place.bridge.faultOf = () => {
      refused += 1;
      return instead(401, "WRONGPASS invalid or missing auth token");
    };
    alice.send(custom("refused"), { clientSeq: 2n });
    assert.equal((await alice.ended).fault?.reason, "LOG_UNAVAILABLE");
    assert.ok(refused > 0 && refused < 60, `${refused} requests`);
    place.bridge.faultOf = () => undefined;
    // As an operator does it: the relay is started anew, with the new token.
    place.bridge.token = "canary-rotated-token";
    const anew = await start("token:");
    const back = await anew.join({ as: "alice", resumeToken, lastSeq: 1n, pendingFrom: 2n });
    assert.deepEqual([(await back.take("welcome")).lastClientSeq, bob.kinds().includes("custom")], [1n, false]);
    back.send(custom("refused"), { clientSeq: 2n });
    assert.equal((await back.take("ack")).seq, 2n);
  });
});

describeWithRedis("instances whose doorbell and bus come over a bad stream of events", () => {
  const open: TestRelay[] = [];
  const endings: (() => void)[] = [];
  afterEach(async () => {
    for (const relay of open.splice(0)) await relay.stop();
    for (const end of endings.splice(0)) end();
  });
  const place = useUpstash();
  const start = async (prefix: string) => {
    const connection = place.connect({ prefix });
    const bus = createRedisBus(connection, { prefix, instanceId: crypto.randomUUID() });
    endings.push(() => bus.close());
    const relay = await startRelay({
      log: createRedisLog({ connection, prefix, now: Date.now }),
      bus,
      limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 },
    });
    open.push(relay);
    return relay;
  };

  /** What becomes of lines: lost, doubled, or told after the next one. */
  const badWay = (random: () => number) => {
    let held: string[] = [];
    return (line: string): readonly string[] => {
      const what = random();
      if (what < 0.3) return [];
      if (what < 0.5) {
        held.push(line);
        return [];
      }
      const lines = what < 0.7 ? [line, line, ...held] : [line, ...held];
      held = [];
      return lines;
    };
  };

  for (const seed of [1, 2, 3]) {
    test(`BC7 whatever it loses, doubles, turns round, ends, breaks or swallows, each is told all, once and in order (seed ${seed})`, async () => {
      const { bridge } = place;
      const random = createRandom(seed);
      const prefix = `bad-${seed}:`;
      const [here, there] = [await start(prefix), await start(prefix)];
      const people = [await here.join({ as: "alice", clientId: "a" }), await there.join({ as: "bob", clientId: "b" })];
      for (const stream of people) await stream.take("welcome");
      bridge.streamFaults.deliver = badWay(random);
      const accidents = [
        () => bridge.streams.end(),
        () => bridge.streams.reset(),
        () => bridge.streams.stall(),
        () => bridge.streams.write(`data: message,${prefix}bus,${"x".repeat(1_100_000)}`),
      ];
      const before = bridge.streams.opened;
      const each = 28;
      for (let n = 1; n <= each; n++) {
        // Of the last of it nobody is told.
        if (n === each) bridge.streamFaults.deliver = () => [];
        for (const stream of people) {
          stream.send(custom(`m${n}`), { clientSeq: BigInt(n) });
          stream.send({ case: "cursor", value: { filePath: "a.ts", line: 1, column: n } });
          await stream.take("ack");
        }
        if (n % 6 === 0) accidents[n / 6 - 1]?.();
      }
      assert.ok(bridge.streams.opened > before, "a stream was opened again");
      // For the look at the log that does without a doorbell.
      for (const relay of open) relay.advance(5_000);
      for (const [index, stream] of people.entries()) {
        const other = index === 0 ? "bob" : "alice";
        await stream.takeMessage(
          "custom",
          ({ payload }) => payload.case === "custom" && payload.value.type === `m${each}`,
        );
        assert.deepEqual(
          typesOf(stream),
          Array.from({ length: each - 1 }, (_, n) => `${other} m${n + 1}`),
        );
      }
    });
  }
});
