import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createServer } from "node:tls";
import { certificate, certificateKey } from "../auth/issuer.ts";
import { describeWithRedis, startRedis, type TestRedis } from "../support/redis-server.ts";
import { startUpstashBridge } from "../support/upstash-bridge.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const password = "canary-password";

function check(env: Readonly<Record<string, string>>, ...args: readonly string[]) {
  return bench.baton(["check", ...args], { env: { BATON_LOG: "redis", ...env } });
}

describeWithRedis("baton check --online of a log in a Redis", () => {
  let redis: TestRedis;
  before(async () => {
    redis = await startRedis({ appendfsync: "everysec" });
  });
  after(() => redis.dispose());

  test("CF17 it says where the Redis is, that it can be used, and what an Ack means less there", async () => {
    const run = check({ REDIS_URL: redis.url }, "--online");
    assert.deepEqual(await run.exit, { code: 0, signal: null }, run.stderr);
    assert.ok(run.stdout.includes(`\n# The log's Redis at 127.0.0.1:${redis.port} answered, and can keep one.\n`));
    assert.match(run.stdout, /\n# the log's Redis syncs .* everysec: .*set appendfsync always/);
    assert.equal(run.stderr, "");
  });

  test("CF17 nothing is said of a Redis that keeps what it acked", async () => {
    const sound = await startRedis();
    try {
      const run = check({ REDIS_URL: sound.url }, "--online");
      assert.deepEqual(await run.exit, { code: 0, signal: null }, run.stderr);
      assert.ok(run.stdout.endsWith("answered, and can keep one.\n"));
    } finally {
      await sound.dispose();
    }
  });

  test("CF17 one that throws data out, or has no such database, is named with what to do, and ends with 1", async () => {
    const evicting = await startRedis({ maxmemory: "100mb", "maxmemory-policy": "allkeys-lru" });
    try {
      for (const [url, says] of [
        [evicting.url, /^no log can be kept in the Redis at 127\.0\.0\.1:\d+: .*set maxmemory-policy noeviction$/m],
        [`${redis.url}/99`, /^the log's Redis has no database of the number in REDIS_URL \(127\.0\.0\.1:\d+\)$/m],
        [`redis://relay:${password}@127.0.0.1:${redis.port}`, /^the log's Redis does not know this user and password/m],
        [`rediss://127.0.0.1:${redis.port}`, /^the log's Redis at 127\.0\.0\.1:\d+ cannot be reached with TLS/m],
      ] as const) {
        const run = check({ REDIS_URL: url }, "--online");
        assert.deepEqual(await run.exit, { code: 1, signal: null });
        assert.match(run.stderr, says);
        assert.ok(!`${run.stdout}${run.stderr}`.includes(password));
      }
    } finally {
      await evicting.dispose();
    }
  });

  test("CF17 Upstash is named by its host, with what is wrong there", async () => {
    const bridge = await startUpstashBridge({ redisPort: redis.port });
    const { host } = new URL(bridge.url);
    const upstash = (token: string, url = bridge.url) =>
      check({ BATON_LOG: "upstash", UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token }, "--online");
    try {
      const sound = upstash(bridge.token);
      assert.deepEqual(await sound.exit, { code: 0, signal: null }, sound.stderr);
      assert.ok(sound.stdout.includes(`\nUPSTASH_REDIS_REST_URL=(set: ${host})\nUPSTASH_REDIS_REST_TOKEN=(set)\n`));
      assert.ok(sound.stdout.includes(`\n# The log's Redis at ${host} answered, and can keep one.\n`));
      const readOnly = upstash(bridge.readOnlyToken);
      assert.deepEqual(await readOnly.exit, { code: 1, signal: null });
      assert.ok(readOnly.stderr.includes(`the read-only one (${host}, the host of UPSTASH_REDIS_REST_URL)`));
      assert.ok(!`${sound.stdout}${readOnly.stdout}${readOnly.stderr}`.includes(bridge.token));
    } finally {
      await bridge.close();
    }
  });
});

describe("baton check of a log in a Redis", () => {
  test("CF16 of the URL it shows the host and the port, and says when a log is not to be asked over the network", async () => {
    const run = check({ REDIS_URL: `redis://relay:${password}@redis.example:6380/3` });
    assert.deepEqual(await run.exit, { code: 0, signal: null });
    assert.ok(run.stdout.includes("\nREDIS_URL=(set: redis.example:6380)\n"));
    assert.ok(!run.stdout.includes(password));
    assert.ok(!run.stdout.includes("answered"));
  });

  test("CF17 a server that expects TLS is told from one that is down", async () => {
    const server = createServer({ cert: certificate, key: certificateKey });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    try {
      const cleartext = check({ REDIS_URL: `redis://127.0.0.1:${address.port}` }, "--online");
      assert.deepEqual(await cleartext.exit, { code: 1, signal: null });
      assert.match(cleartext.stderr, /the log's Redis .*127\.0\.0\.1:\d+/);
      const untrusted = check({ REDIS_URL: `rediss://127.0.0.1:${address.port}` }, "--online");
      assert.deepEqual(await untrusted.exit, { code: 1, signal: null });
      assert.match(untrusted.stderr, /cannot be reached with TLS \([A-Z_]*CERT[A-Z_]*\)/);
    } finally {
      server.close();
    }
  });
});
