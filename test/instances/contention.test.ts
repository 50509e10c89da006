import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Contention } from "../../src/relay/contention.ts";
import { TurnRest } from "../../src/relay/turn-rest.ts";
import { clientKey } from "../../src/session/state.ts";
import { type Stream, startRelay, type TestRelay } from "../relay/harness.ts";
import { until } from "../relay/operators.ts";
import { roomOf, say, startPair } from "./pair.ts";

const ann = { userId: "ann", clientId: "a" };
const bob = { userId: "bob", clientId: "b" };
const at = (instance: string, client = bob) => ({ ...client, instance });

describe("the race for the log's next place", () => {
  test("MI6 who has the log for itself never waits; who won over a rival lets it go first, for a round trip", () => {
    const alone = new Contention();
    alone.won(100, 10);
    assert.equal(alone.waitMs(100), 0);
    alone.met(105, [at("r")]);
    assert.equal(alone.waitMs(105), 0, "the rival was in later");
    alone.won(110, 10);
    assert.equal(alone.waitMs(110), 10);
    assert.equal(alone.waitMs(120), 0);
    alone.won(1_000, 10);
    assert.equal(alone.waitMs(1_000), 0, "nobody was heard of for long");
  });

  test("MI6 of several that write at once, whoever has been in least lately goes at once, and the others in turn", () => {
    const one = new Contention();
    one.met(0, [at("r"), at("s")]);
    assert.equal(one.waitMs(0), 0, "it has never been in");
    one.won(10, 10);
    assert.equal(one.waitMs(10), 20);
    one.met(20, [at("r"), at("r", ann)]);
    assert.equal(one.waitMs(20), 10, "only s goes before it");
    one.met(30, [at("s")]);
    assert.equal(one.waitMs(30), 0);
    one.met(40, [at(""), at("", ann)]);
    one.won(50, 10);
    assert.equal(one.waitMs(50), 30, "those of whom it is not known where they are count as one");
    one.met(60, [at("s")]);
    assert.equal(one.waitMs(184), 0);
    one.won(186, 10);
    assert.equal(one.waitMs(186), 20, "r was not heard of for 16 round trips");
  });

  test("MI6 nobody waits for longer than 250 ms for its turn", () => {
    const far = new Contention();
    far.met(
      0,
      Array.from({ length: 100 }, (_, index) => at(`r${index}`)),
    );
    far.won(10, 200);
    assert.equal(far.waitMs(10), 250);
  });

  test("MI7 who loses again and again asks the others to wait, for as long as it takes, and no longer than 250 ms", () => {
    const far = new Contention();
    assert.equal(far.lost(20, 20, ann), undefined);
    assert.deepEqual(far.lost(40, 20, ann), { client: ann, holdMs: 60, waitedMs: 40 });
    assert.equal(far.lost(60, 20, ann), undefined);
    assert.equal(far.lost(80, 20, ann)?.waitedMs, 80);
    far.won(100, 20);
    assert.equal(far.lost(120, 20, ann), undefined);
    const slow = new Contention();
    slow.lost(1_000, 1_000, ann);
    assert.equal(slow.lost(2_000, 1_000, ann)?.holdMs, 250);
  });

  test("MI7 whoever is asked waits until the asker's record is in, unless it has been losing for longer itself", () => {
    const near = new Contention();
    near.asked(100, { client: ann, holdMs: 60, waitedMs: 40 });
    assert.equal(near.waitMs(100), 60);
    near.met(110, [at("r")]);
    assert.equal(near.waitMs(110), 50, "another's record is no answer to it");
    near.asked(115, { client: bob, holdMs: 90, waitedMs: 10 });
    assert.equal(near.waitMs(115), 45, "a younger plea waits for the older");
    near.met(120, [at("r"), at("r", ann)]);
    assert.equal(near.waitMs(120), 0);
    near.asked(130, { client: bob, holdMs: 1_000, waitedMs: 10 });
    assert.equal(near.waitMs(130), 250);
    const longer = new Contention();
    longer.lost(10, 10, bob);
    longer.asked(100, { client: ann, holdMs: 60, waitedMs: 40 });
    assert.equal(longer.waitMs(100), 0);
  });

  test("MI6 who is next goes on as soon as something comes, and who is not looks again within moments", async () => {
    const over = new AbortController();
    const rest = new TurnRest(over.signal);
    const contention = new Contention();
    contention.won(0, 10_000);
    assert.equal(contention.nearMs, 15_000, "one goes before it, at the most");
    rest.stir();
    const next = rest.wait(10_000, contention.nearMs);
    rest.stir();
    await next;
    await rest.wait(100_000, contention.nearMs);
    const last = rest.wait(10_000, contention.nearMs);
    over.abort();
    await last;
  });

  test("MI6 whose turn it is, is told from where the writers of the records are", async () => {
    const pair = await startPair();
    try {
      const streams = [
        await pair.here.join({ clientId: "a" }),
        await pair.here.join({ as: "ann", clientId: "a" }),
        await pair.there.join({ as: "bob", clientId: "b" }),
      ];
      for (const stream of streams) await stream.take("welcome");
      const instanceOf = (one: TestRelay, userId: string, clientId: string) =>
        roomOf(one).presence.instanceOf(clientKey(userId, clientId));
      await until(() => instanceOf(pair.here, "bob", "b") !== "" && instanceOf(pair.there, "ann", "a") !== "");
      assert.equal(instanceOf(pair.there, "alice", "a"), instanceOf(pair.there, "ann", "a"), "they are at one");
      assert.notEqual(instanceOf(pair.there, "alice", "a"), instanceOf(pair.here, "bob", "b"));
      assert.equal(instanceOf(pair.here, "alice", "a"), "", "it is here");
      assert.equal(instanceOf(pair.here, "carol", "c"), "", "nobody has spoken of it");

      const asked: string[] = [];
      const { presence } = roomOf(pair.there);
      const tell = presence.instanceOf.bind(presence);
      presence.instanceOf = (key) => {
        asked.push(key);
        return tell(key);
      };
      const [alice, , bob] = streams;
      if (alice === undefined || bob === undefined) throw new Error("nobody has joined");
      await say(alice, 1);
      await bob.takeMessage("custom");
      assert.deepEqual(asked, [clientKey("alice", "a")]);
    } finally {
      await pair.stop();
    }
  });

  test("MI6 nobody starves: eight instances at once, one of them a hundred times as far from the store", async () => {
    const memory = createMemoryLog(Date.now);
    const bus = createLocalBus();
    const limits = { messagesPerSecond: 1e6, messagesBurst: 1e6 };
    const instances = await Promise.all(
      [0, 0, 0, 0, 0, 0, 0, 10].map((hopMs) => startRelay({ limits, bus: bus.member(), log: remote(memory, hopMs) })),
    );
    try {
      const streams = await Promise.all(instances.map((one, index) => one.join({ as: `u${index}`, clientId: "c" })));
      for (const stream of streams) await stream.take("welcome");
      let isOver = false;
      const counts = streams.map(() => 0);
      const write = async (stream: Stream, index: number) => {
        for (let n = 1; !isOver; n++) {
          stream.send({ case: "custom", value: { type: "t" } }, { clientSeq: BigInt(n) });
          await stream.take("ack");
          counts[index] = n;
        }
      };
      const writing = streams.map(write);
      await until(() => Math.min(...counts) >= 10);
      isOver = true;
      await Promise.all(writing);
      assert.ok(streams.every(({ received }) => received.every(({ payload }) => payload.case !== "fault")));
    } finally {
      await Promise.all(instances.map((one) => one.stop()));
    }
  });
});

/** A log whose calls and answers are on their way for so long. */
function remote(log: SessionLog, hopMs: number): SessionLog {
  const hop = () => new Promise<void>((resolve) => (hopMs === 0 ? setImmediate(resolve) : setTimeout(resolve, hopMs)));
  return {
    ...log,
    async append(...args) {
      await hop();
      const outcome = await log.append(...args);
      await hop();
      return outcome;
    },
    async read(...args) {
      await hop();
      const records = await log.read(...args);
      await hop();
      return records;
    },
    watch: (sessionId, ring) => log.watch(sessionId, (head) => void hop().then(() => ring(head))),
  };
}
