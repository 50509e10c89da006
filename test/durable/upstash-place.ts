import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import type { RedisConnection } from "../../src/durable/redis-connection.ts";
import { createRestConnection, type UpstashOptions } from "../../src/durable/redis-rest.ts";
import { startRedis, type TestRedis } from "../support/redis-server.ts";
import { type BridgeOptions, startUpstashBridge, type UpstashBridge } from "../support/upstash-bridge.ts";

/** Short enough for a test that waits for them; the order in which they pass is that of the real ones. */
export const shortTiming = { quietMs: 100, answerMs: 300, firstWaitMs: 5, longestWaitMs: 40 };

export interface UpstashPlace {
  readonly bridge: UpstashBridge;
  readonly redis: TestRedis;
  connect(options?: Partial<UpstashOptions>): RedisConnection;
}

/** A Redis and a bridge before it for all tests of a `describe`; connections end with each test, and nothing is kept. */
export function useUpstash(options: Omit<BridgeOptions, "redisPort"> = {}): UpstashPlace {
  let redis: TestRedis | undefined;
  let bridge: UpstashBridge | undefined;
  const connections: RedisConnection[] = [];
  before(async () => {
    redis = await startRedis();
    bridge = await startUpstashBridge({ ...options, redisPort: redis.port });
  });
  afterEach(async () => {
    for (const connection of connections.splice(0)) await connection.close();
    assert.ok(bridge !== undefined);
    const { faults, requests, streamFaults } = bridge;
    faults.splice(0);
    requests.splice(0);
    for (const name of Object.keys(streamFaults)) Reflect.deleteProperty(streamFaults, name);
    bridge.faultOf = () => undefined;
    bridge.token = canaryToken;
    await until(() => bridge?.streams.living === 0);
  });
  after(async () => {
    await bridge?.close();
    await redis?.dispose();
  });
  const there = <T>(what: T | undefined): T => {
    assert.ok(what !== undefined);
    return what;
  };
  return {
    get bridge() {
      return there(bridge);
    },
    get redis() {
      return there(redis);
    },
    connect(changes = {}) {
      const { url, token } = there(bridge);
      const connection = createRestConnection({
        url,
        token,
        prefix: "baton:",
        subscriptionTiming: shortTiming,
        ...changes,
      });
      connections.push(connection);
      return connection;
    },
  };
}

export const canaryToken = "canary-upstash-token";

/** Resolves once this holds. Fails when it takes longer than anything here may. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!holds()) {
    if (Date.now() > deadline) assert.fail("it never came true");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
