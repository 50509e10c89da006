import { after, before } from "node:test";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";
import { describeWithRedis, startRedis, type TestRedis } from "../support/redis-server.ts";
import { describeSessionLog } from "./log-contract.ts";

describeWithRedis("Redis log over TCP", () => {
  let redis: TestRedis;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.dispose());

  let count = 0;
  describeSessionLog("Redis", async () => {
    const prefix = `contract-${++count}:`;
    const open = async () =>
      createRedisLog({ connection: await connectRedisTcp({ url: redis.url }), prefix, now: Date.now });
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
