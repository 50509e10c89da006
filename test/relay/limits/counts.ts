import assert from "node:assert/strict";
import { createMemoryLog } from "../../../src/durable/log-memory.ts";
import type { SessionLog } from "../../../src/durable/session-log.ts";
import { edit } from "../harness.ts";
import { until } from "../operators.ts";
import { type AtLimit, answerTo, custom, enter, refusalOf, withRelay } from "./with-relay.ts";

/** A log that claims when it is let to, and tells how many wait. */
function holdClaims() {
  const log = createMemoryLog(Date.now);
  const waiting: (() => void)[] = [];
  const held: SessionLog = {
    ...log,
    async claim(...of) {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return await log.claim(...of);
    },
  };
  return { log: held, waiting };
}

export const counts = {
  async sessionFiles() {
    await withRelay({ sessionFiles: 2 }, async (relay) => {
      const alice = await enter(relay);
      assert.equal(await answerTo(alice, edit("a", 0, 0, 0, "x"), 1n), "ack");
      assert.equal(await answerTo(alice, edit("b", 0, 0, 0, "x"), 2n), "ack");
      assert.equal(await answerTo(alice, edit("c", 0, 0, 0, "x"), 3n), "TOO_MANY_FILES");
      const deletion = { case: "edit", value: { filePath: "a", version: 1, deleted: true } } as const;
      assert.equal(await answerTo(alice, deletion, 3n), "ack");
      assert.equal(await answerTo(alice, edit("c", 0, 0, 0, "x"), 4n), "ack");
    });
  },

  async writers() {
    await withRelay({ writers: 2, readers: 1 }, async (relay) => {
      const first = await enter(relay, "a");
      await enter(relay, "b");
      assert.equal(await refusalOf(relay, "c"), "SESSION_FULL");
      first.finish();
      await first.ended;
      await enter(relay, "c");
    });
  },

  async readers() {
    await withRelay({ writers: 1, readers: 2 }, async (relay) => {
      const read = async (sub: string) =>
        await relay.join({ as: sub, token: await relay.token({ sub, scope: "session:read" }) });
      for (const sub of ["a", "b"]) await (await read(sub)).take("welcome");
      assert.equal((await (await read("c")).ended).fault?.reason, "SESSION_FULL");
      await enter(relay, "d");
    });
  },

  async messagesPerSecond() {
    await withRelay({ messagesPerSecond: 10, messagesBurst: 20 }, async (relay) => {
      const alice = await enter(relay);
      let seq = 0n;
      const send = () => answerTo(alice, custom, seq + 1n).then((answer) => (answer === "ack" ? ++seq : answer));
      while ((await send()) !== "RATE_LIMITED");
      assert.equal(seq, 20n);
      // Each refusal has its stream read no faster than it may send, by a clock that does not stand still.
      relay.advance(1000);
      while ((await send()) !== "RATE_LIMITED");
      assert.equal(seq, 30n);
    });
  },

  async messagesBurst() {
    await withRelay({ messagesPerSecond: 10, messagesBurst: 3 }, async (relay) => {
      const alice = await enter(relay);
      for (let n = 1n; n <= 3n; n++) assert.equal(await answerTo(alice, custom, n), "ack");
      assert.equal(await answerTo(alice, custom, 4n), "RATE_LIMITED");
      relay.advance(100_000);
      for (let n = 4n; n <= 6n; n++) assert.equal(await answerTo(alice, custom, n), "ack");
      assert.equal(await answerTo(alice, custom, 7n), "RATE_LIMITED");
    });
  },

  async userStreams() {
    await withRelay({ userStreams: 2 }, async (relay) => {
      const first = await enter(relay, "alice", "one");
      await enter(relay, "alice", "two");
      assert.equal(await refusalOf(relay, "alice", "two", "another"), "USER_LIMIT");
      await enter(relay, "bob", "two");
      // In the place of its own.
      await enter(relay, "alice", "two");
      first.finish();
      await first.ended;
      await enter(relay, "alice", "three");
    });
  },

  async userSessions() {
    await withRelay({ userSessions: 2, roomIdleMs: 60_000 }, async (relay) => {
      await enter(relay, "alice", "one");
      const second = await enter(relay, "alice", "two");
      await enter(relay, "alice", "two", "another");
      assert.equal(await refusalOf(relay, "alice", "three"), "USER_LIMIT");
      await enter(relay, "bob", "three");
      second.finish();
      await second.ended;
    });
  },

  async joins() {
    const { log, waiting } = holdClaims();
    await withRelay(
      { joins: 2 },
      async (relay) => {
        const streams = await Promise.all(["a", "b", "c"].map((as) => relay.join({ as })));
        await until(() => waiting.length === 2 && relay.relay.admission.load.waiting === 1);
        assert.deepEqual(relay.relay.admission.load, { running: 2, waiting: 1 });
        for (let n = 0; n < 3; n++) {
          await until(() => waiting.length > 0);
          waiting.shift()?.();
        }
        for (const stream of streams) await stream.take("welcome");
        assert.deepEqual(relay.relay.admission.load, { running: 0, waiting: 0 });
      },
      { log },
    );
  },

  async joinsWaiting() {
    const { log, waiting } = holdClaims();
    await withRelay(
      { joins: 1, joinsWaiting: 1 },
      async (relay) => {
        const first = await relay.join({ as: "a" });
        await until(() => waiting.length === 1);
        const second = await relay.join({ as: "b" });
        await until(() => relay.relay.admission.load.waiting === 1);
        assert.equal(await refusalOf(relay, "c"), "BUSY");
        for (const stream of [first, second]) {
          await until(() => waiting.length === 1);
          waiting.shift()?.();
          await stream.take("welcome");
        }
      },
      { log },
    );
  },
} satisfies Record<string, AtLimit>;
