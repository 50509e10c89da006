// What tests of the log on Redis share: a server, logs on it, and a way to it that no log has.
import { createClient } from "@redis/client";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import type { RedisConnection } from "../../src/durable/redis-connection.ts";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { startRedis } from "../support/redis-server.ts";

export const everything = Number.MAX_SAFE_INTEGER;

export async function startBench(settings: Readonly<Record<string, string>> = {}) {
  const redis = await startRedis(settings);
  const logs: SessionLog[] = [];
  const connections: RedisConnection[] = [];
  return {
    redis,
    /** What an instance has. */
    async open({ url = redis.url, prefix = "baton:", now = Date.now, clientTtlMs = 60_000 } = {}) {
      const log = createRedisLog({ connection: await connectRedisTcp({ url }), prefix, now, clientTtlMs });
      logs.push(log);
      return log;
    },
    async connect(url = redis.url) {
      const connection = await connectRedisTcp({ url });
      connections.push(connection);
      return connection;
    },
    /** As somebody with `redis-cli`. */
    async command(...args: readonly string[]): Promise<unknown> {
      const client = createClient({ url: redis.url, RESP: 2 });
      client.on("error", () => undefined);
      await client.connect();
      try {
        return await client.sendCommand(args);
      } finally {
        client.destroy();
      }
    },
    async dispose() {
      await Promise.all([...logs, ...connections].map((one) => one.close()));
      await redis.dispose();
    },
  };
}

export type RedisBench = Awaited<ReturnType<typeof startBench>>;

/** Asks again while there is no connection. */
export async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
