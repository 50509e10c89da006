import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import { connectUpstash } from "../../src/durable/redis-rest.ts";
import type { AppendBatch } from "../../src/durable/session-log.ts";
import { describeWithRedis, startRedis, type TestRedis } from "../support/redis-server.ts";
import { startUpstashBridge, type UpstashBridge } from "../support/upstash-bridge.ts";
import { alice, describeSessionLog, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";
import { until, useUpstash } from "./upstash-place.ts";

describeWithRedis("Redis log over REST", () => {
  let redis: TestRedis;
  let bridge: UpstashBridge;
  before(async () => {
    redis = await startRedis();
    bridge = await startUpstashBridge({ redisPort: redis.port });
  });
  after(async () => {
    await bridge.close();
    await redis.dispose();
  });

  let count = 0;
  describeSessionLog("Upstash", async () => {
    const prefix = `contract-${++count}:`;
    const open = async () => {
      const connection = await connectUpstash({ url: bridge.url, token: bridge.token, prefix });
      return createRedisLog({ connection, prefix, now: Date.now });
    };
    let log = await open();
    return {
      log,
      reopen: async () => {
        await log.close();
        log = await open();
        return log;
      },
      dispose: () => log.close(),
    };
  });
});

describeWithRedis("Redis log over REST, under faults", () => {
  const place = useUpstash();
  const openLog = (sessionId: string) => {
    const prefix = `${sessionId}:`;
    return createRedisLog({ connection: place.connect({ prefix, commandTimeoutMs: 300 }), prefix, now: Date.now });
  };
  const everything = Number.MAX_SAFE_INTEGER;

  test("UP11 an append whose answer was lost, cut or late is found by appending the same again, once", async () => {
    const log = openLog("lost");
    let claim = await fill(log, "s", 1);
    for (const [head, fault] of [
      [1, { kind: "answer lost" }],
      [3, { kind: "answer cut" }],
      [5, { kind: "late", delayMs: 500 }],
    ] as const) {
      claim = await log.claim("s", alice, "e");
      const batch: AppendBatch = {
        epoch: claim.epoch,
        expectedHead: head,
        records: recordsAfter(head, 2),
        writers: [writerOf(alice, claim, head + 2)],
      };
      place.bridge.faults.push(fault);
      await rejectsWith(log.append("s", batch), "LOG_UNAVAILABLE");
      const again = await log.append("s", batch);
      assert.deepEqual(again.kind === "conflict" && plain(again.records), plain(recordsAfter(head, 2)));
    }
    assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 7)));
    assert.equal((await log.claim("s", alice, "e")).lastClientSeq, 7);
  });

  test("UP11 one that was lost on its way there is written by appending it again", async () => {
    const log = openLog("away");
    const claim = await fill(log, "s", 1);
    for (const fault of [{ kind: "lost" }, { kind: "silence" }] as const) place.bridge.faults.push(fault);
    const batch: AppendBatch = {
      epoch: claim.epoch,
      expectedHead: 1,
      records: recordsAfter(1, 1),
      writers: [writerOf(alice, claim, 2)],
    };
    await rejectsWith(log.append("s", batch), "LOG_UNAVAILABLE");
    await rejectsWith(log.append("s", batch), "LOG_UNAVAILABLE");
    assert.deepEqual(await log.append("s", batch), { kind: "appended" });
  });

  test("UP11 an answer that nobody can have meant is not taken for one", async () => {
    const log = openLog("lies");
    const claim = await fill(log, "s", 1);
    for (const body of ['{"result":"Aborted"}', '{"result":null}', '{"result":[]}', '{"result":"OK"}', "[]", "null"]) {
      place.bridge.faults.push({ kind: "instead", status: 200, body });
      const batch: AppendBatch = {
        epoch: claim.epoch,
        expectedHead: 1,
        records: recordsAfter(1, 1),
        writers: [writerOf(alice, claim, 2)],
      };
      await assert.rejects(log.append("s", batch), body);
      place.bridge.faults.push({ kind: "instead", status: 200, body });
      await assert.rejects(log.claim("s", alice, "e"), body);
    }
    assert.equal((await log.describe("s"))?.head, 1);
  });

  test("UP11 scripts that the server forgot are told it again, and no record is written twice", async () => {
    const log = openLog("flushed");
    const flush = place.connect();
    for (let head = 0; head < 5; head++) {
      await flush.command("SCRIPT", "FLUSH");
      await fill(log, "s", 1);
    }
    assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 5)));
  });

  test("UP11 the doorbell of another instance's append is heard over the stream", async () => {
    const [here, there] = [openLog("bell"), openLog("bell")];
    let rings = 0;
    const unwatch = there.watch("s", () => {
      rings++;
    });
    await until(() => rings > 0);
    const before = rings;
    await fill(here, "s", 1);
    await until(() => rings > before);
    unwatch();
  });
});
