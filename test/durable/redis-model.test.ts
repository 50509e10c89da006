import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { compareWithMemory } from "./log-model.ts";
import { type RedisBench, startBench } from "./redis-bench.ts";

describeWithRedis("the log on Redis beside the memory log", () => {
  let bench: RedisBench;
  before(async () => {
    bench = await startBench({ appendfsync: "no" });
  });
  after(() => bench.dispose());

  test("RL17 whatever is asked for, of whichever instance, it holds what the memory log holds", async () => {
    let calls = 0;
    await compareWithMemory(async (now) => {
      await bench.command("FLUSHALL");
      let logs = [await bench.open({ now }), await bench.open({ now })];
      const close = () => Promise.all(logs.map((log) => log.close()));
      /** Each call goes to the next instance. */
      const next = (): SessionLog => logs[calls++ % logs.length] ?? assert.fail();
      const log: SessionLog = {
        describe: (...args) => next().describe(...args),
        claim: (...args) => next().claim(...args),
        append: (...args) => next().append(...args),
        read: (...args) => next().read(...args),
        putSnapshot: (...args) => next().putSnapshot(...args),
        latestSnapshot: (...args) => next().latestSnapshot(...args),
        dropSnapshot: (...args) => next().dropSnapshot(...args),
        trim: (...args) => next().trim(...args),
        renewEpoch: (...args) => next().renewEpoch(...args),
        watch: (...args) => next().watch(...args),
        delete: (...args) => next().delete(...args),
        list: (...args) => next().list(...args),
        secret: (...args) => next().secret(...args),
        revoke: (...args) => next().revoke(...args),
        revocations: (...args) => next().revocations(...args),
        close: async () => void (await close()),
      };
      return {
        log,
        reopen: async () => {
          await close();
          logs = [await bench.open({ now }), await bench.open({ now })];
          return log;
        },
        dispose: log.close,
      };
    });
    assert.ok(calls > 2_000, `${calls} calls`);
  });
});
