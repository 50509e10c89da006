import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { createClient } from "@redis/client";
import type { RedisConnection } from "../../src/durable/redis-connection.ts";
import { connectUpstash } from "../../src/durable/redis-rest.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { gatherLogs } from "../auth/issuer.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import type { RequestFault } from "../support/upstash-bridge.ts";
import { rejectsWith } from "./log-contract.ts";
import { canaryToken, until, useUpstash } from "./upstash-place.ts";

const swap = {
  name: "swap",
  lua: "local old = redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], ARGV[1]) return old",
};
const increment = { name: "increment", lua: "return redis.call('INCR', KEYS[1])" };
const stranger = { name: "stranger", lua: "return redis.call('GET', 'of nobody')" };

type Fault = Exclude<RequestFault, { readonly kind: "doubled" }>;

const instead = (status: number, error: string): Fault => ({
  kind: "instead",
  status,
  body: JSON.stringify({ error }),
});

describeWithRedis("Redis over REST", () => {
  const place = useUpstash({ maxRequestBytes: 2_000_000, maxRecordBytes: 1_500_000 });
  const namesAsked = () => place.bridge.requests.map(({ command }) => command[0]);

  test("UP1 what failed is sent once, whether it was done or not", async () => {
    const connection = place.connect({ commandTimeoutMs: 300 });
    const done: Record<Fault["kind"], boolean> = {
      lost: false,
      silence: false,
      instead: false,
      "answer lost": true,
      "answer cut": true,
      late: true,
    };
    const faults: Fault[] = [
      { kind: "lost" },
      { kind: "answer lost" },
      { kind: "answer cut" },
      { kind: "silence" },
      { kind: "late", delayMs: 600 },
      instead(500, "ERR internal"),
      instead(503, "ERR unavailable"),
      { kind: "instead", status: 502, body: "<html>bad gateway</html>" },
    ];
    for (const fault of faults) {
      await connection.command("SET", "n", "0");
      place.bridge.requests.splice(0);
      place.bridge.faults.push(fault);
      await rejectsWith(connection.command("INCR", "n"), "LOG_UNAVAILABLE");
      assert.deepEqual(namesAsked(), ["INCR"], fault.kind);
      assert.equal(await connection.command("GET", "n"), done[fault.kind] ? "1" : "0", fault.kind);
    }
  });

  test("UP1 nor is a script sent again whose answer was lost", async () => {
    const connection = place.connect();
    assert.equal(await connection.run(increment, ["scripted"], []), 1);
    place.bridge.requests.splice(0);
    place.bridge.faults.push({ kind: "answer lost" });
    await rejectsWith(connection.run(increment, ["scripted"], []), "LOG_UNAVAILABLE");
    assert.deepEqual(namesAsked(), ["EVALSHA"]);
    assert.equal(await connection.command("GET", "scripted"), "2");
  });

  test("UP1 nothing is heard of a server that is not there", async () => {
    const connection = place.connect({ url: "http://127.0.0.1:9" });
    await rejectsWith(connection.command("GET", "n"), "LOG_UNAVAILABLE");
  });

  test("UP2 an abort is no answer: of its time, or of a connection that is closed meanwhile", async () => {
    const timely = place.connect({ commandTimeoutMs: 100 });
    place.bridge.faults.push({ kind: "silence" }, { kind: "silence" });
    await rejectsWith(timely.command("SET", "n", "1"), "LOG_UNAVAILABLE");
    // The second silence is this one's, and it would last.
    const closing = place.connect({ commandTimeoutMs: 600_000 });
    const asked = closing.command("SET", "n", "1");
    const refused = rejectsWith(asked, "LOG_UNAVAILABLE");
    await until(() => place.bridge.requests.length === 2);
    await closing.close();
    await refused;
    await rejectsWith(closing.command("GET", "n"), "LOG_UNAVAILABLE");
    await rejectsWith(closing.run(increment, ["n"], []), "LOG_UNAVAILABLE");
  });

  test("UP3 text comes back as it went", async () => {
    const connection = place.connect();
    const texts = [
      "1",
      "1e3",
      "007",
      "9007199254740993",
      "true",
      "null",
      "OK",
      "QQ==",
      '{"a":[1]}',
      '"',
      "\\",
      "",
      "ü😀",
    ];
    texts.push("a\r\nb\u0000c\u2028", "A".repeat(900_000));
    for (const text of texts) {
      await connection.command("SET", "text", text);
      assert.equal(await connection.command("GET", "text"), text);
      await connection.command("HSET", "hash", text, text);
      assert.deepEqual(await connection.run(swap, ["text"], [text]), text);
    }
    const kept = await connection.command("HGETALL", "hash");
    assert.ok(Array.isArray(kept) && kept.length === 2 * texts.length);
    assert.deepEqual(new Set(kept), new Set(texts));
    assert.equal(await connection.command("GET", "no such key"), null);
  });

  test("UP3 an integer that a double cannot hold is refused, not rounded", async () => {
    const connection = place.connect();
    await connection.command("SET", "big", "4503599627370495");
    assert.equal(await connection.command("INCR", "big"), 2 ** 52);
    place.bridge.faults.push({ kind: "instead", status: 200, body: '{"result":[9007199254740991]}' });
    assert.deepEqual(await connection.command("GET", "big"), [Number.MAX_SAFE_INTEGER]);
    place.bridge.faults.push({ kind: "instead", status: 200, body: '{"result":[9007199254740993]}' });
    await rejectsWith(connection.command("GET", "big"), "LOG_UNAVAILABLE");
    place.bridge.faults.push({ kind: "instead", status: 200, body: '{"result":[1,[true]]}' });
    await rejectsWith(connection.command("GET", "big"), "LOG_UNAVAILABLE");
    place.bridge.faults.push({ kind: "instead", status: 200, body: "{}" });
    await rejectsWith(connection.command("GET", "big"), "LOG_UNAVAILABLE");
  });

  test("UP4 a script goes by its hash; with its text once, where the server does not know it (any more)", async () => {
    const connection = place.connect();
    await connection.command("SCRIPT", "FLUSH");
    place.bridge.requests.splice(0);
    assert.equal(await connection.run(swap, ["flushed"], ["a"]), null);
    assert.equal(await connection.run(swap, ["flushed"], ["b"]), "a");
    assert.deepEqual(namesAsked(), ["EVALSHA", "EVAL", "EVALSHA"]);
    await connection.command("SCRIPT", "FLUSH");
    assert.equal(await connection.run(swap, ["flushed"], ["c"]), "b");
    assert.deepEqual(namesAsked().slice(3), ["SCRIPT", "EVALSHA", "EVAL"]);
  });

  test("UP4 a server that never knows it is asked twice, and no more", async () => {
    const connection = place.connect();
    place.bridge.faults.push(
      instead(400, "NOSCRIPT No matching script."),
      instead(400, "NOSCRIPT No matching script."),
    );
    await rejectsWith(connection.run(swap, ["n"], ["a"]), "LOG_UNAVAILABLE");
    assert.deepEqual(namesAsked(), ["EVALSHA", "EVAL"]);
  });

  test("UP4 a script locks its keys alone, and touches no others", async () => {
    const connection = place.connect();
    await connection.run(swap, ["k"], ["v"]);
    const text = place.bridge.requests.find(({ command }) => command[0] === "EVAL")?.command[1] ?? "";
    if (text !== "") assert.match(text, /^#!lua flags=allow-key-locking\n/);
    await rejectsWith(connection.run(stranger, ["k"], []), "LOG_UNAVAILABLE");
    assert.ok(
      place.bridge.requests.some(({ command: [name, script] }) => name === "EVAL" && script?.startsWith("#!lua")),
    );
  });

  test("UP5 what is too large, or has no room, is LOG_FULL, and nothing of it is written", async () => {
    const connection = place.connect();
    await connection.command("SET", "kept", "as it was");
    await rejectsWith(connection.command("SET", "kept", "A".repeat(1_600_000)), "LOG_FULL");
    await rejectsWith(connection.run(swap, ["kept"], ["A".repeat(2_100_000)]), "LOG_FULL");
    for (const error of [
      "OOM command not allowed when used memory > 'maxmemory'.",
      "ERR max single record size exceeded. Limit: 104857600 bytes",
      "ERR max key size exceeded",
    ]) {
      place.bridge.faults.push(instead(400, error));
      await rejectsWith(connection.command("SET", "kept", "b"), "LOG_FULL");
    }
    assert.equal(await connection.command("GET", "kept"), "as it was");
  });

  test("UP6 a token that was rotated, that may not write, or whose plan is used up, is told by name", async () => {
    const connection = place.connect();
    const why = async (asked: Promise<unknown>) => {
      const error = await asked.then(
        () => assert.fail("answered"),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof BatonError);
      assert.equal(error.reason, "LOG_UNAVAILABLE");
      return error;
    };
    place.bridge.token = "another";
    assert.match((await why(connection.command("GET", "n"))).message, /refuses the token/);
    assert.match((await why(connection.run(swap, ["n"], ["a"]))).message, /refuses the token/);
    assert.equal(place.bridge.requests.length, 0);
    place.bridge.token = canaryToken;
    const reader = place.connect({ token: place.bridge.readOnlyToken });
    await reader.command("GET", "n");
    assert.match((await why(reader.command("SET", "n", "1"))).message, /read-only/);
    for (const [status, text] of [
      [400, "ERR max requests limit exceeded. Limit: 500000, Usage: 500000. See https://upstash.com/docs for details"],
      [400, "ERR max daily request limit exceeded. Limit: 10000, Usage: 10001."],
      [429, "Too Many Requests"],
    ] as const) {
      place.bridge.faults.push(instead(status, text));
      const error = await why(connection.command("SET", "n", "1"));
      assert.match(error.message, /more often than its plan allows/);
      assert.ok(error.retryAfterMs > 0);
    }
  });

  test("UP7 no error and no log line has the token, a key, a command or an answer", async () => {
    const logs = await gatherLogs();
    const told: unknown[] = [];
    const canary = "canary-PINEAPPLE";
    const connection = place.connect({ commandTimeoutMs: 200, url: place.bridge.url });
    const script = { name: "s", lua: `return redis.call('SET', KEYS[1], ARGV[1]) -- ${canary}` };
    const ask = async (on: RedisConnection) => {
      for (const asked of [
        () => on.command("LPUSH", `${canary}-key`, canary),
        () => on.run(script, [canary], [canary]),
      ]) {
        await asked().then(
          () => assert.fail("answered"),
          (error: unknown) => told.push(error),
        );
      }
    };
    const faults: RequestFault[] = [
      instead(400, `WRONGTYPE Operation against ${canary}`),
      instead(400, `${canary} is no command`),
      instead(400, `ERR ${canary}`),
      instead(400, `WRONGPASS ${canary}`),
      instead(400, `NOPERM ${canary}`),
      instead(400, `ERR max requests limit exceeded ${canary}`),
      { kind: "instead", status: 200, body: `<html>${canary}` },
      { kind: "instead", status: 500, body: canary },
      { kind: "instead", status: 200, body: `{"result":{"${canary}":1}}` },
      { kind: "silence" },
      { kind: "answer cut" },
      { kind: "lost" },
    ];
    for (const fault of faults) {
      place.bridge.faults.push(fault, fault);
      await ask(connection);
    }
    await ask(place.connect({ url: `http://127.0.0.1:9/${canary}?_token=${canary}` }));
    place.bridge.token = "another";
    connection.subscribe("baton:x", { open() {}, message() {} });
    await ask(connection);
    logs.stop();
    assert.ok(told.length === 28 && logs.records.length > 10, `${told.length} errors, ${logs.records.length} lines`);
    const everything = inspect([told, logs.records], { depth: 20, showHidden: true, maxStringLength: null });
    assert.ok(!everything.includes("canary"), everything);
  });

  test("UP8 a request carries the sync token of the answer before, so that its writes are read", async () => {
    const connection = place.connect();
    await connection.command("SET", "n", "1");
    await connection.command("GET", "n");
    await connection.run(increment, ["n"], []);
    await connection.command("GET", "n");
    const tokens = place.bridge.requests.map(({ syncToken }) => syncToken);
    assert.equal(tokens[0], "");
    assert.ok(
      tokens.slice(1).every((token) => /^after \d+$/.test(token)),
      tokens.join(),
    );
    assert.notEqual(tokens.at(-1), tokens[1]);
  });

  test("UP10 a start needs a database that can be reached, that this token may write to, and that evicts nothing", async () => {
    const { bridge, redis } = place;
    const openedBefore = bridge.streams.opened;
    const start = (token: string, url = bridge.url) => connectUpstash({ url, token, prefix: "baton:" });
    const configured = createClient({ socket: { host: "127.0.0.1", port: redis.port } });
    await configured.connect();
    const refusal = (starting: Promise<RedisConnection>, says: RegExp) =>
      assert.rejects(starting, (error) => error instanceof BatonError && says.test(error.message));
    try {
      await (await start(bridge.token)).close();
      await refusal(start(bridge.readOnlyToken), /read-only/);
      await refusal(start("another"), /refuses the token/);
      await refusal(start(bridge.token, "http://127.0.0.1:9"), /cannot be reached/);
      for (const policy of ["allkeys-lru", "volatile-ttl"]) {
        await configured.configSet("maxmemory-policy", policy);
        await refusal(start(bridge.token), /turn eviction off/);
      }
    } finally {
      await configured.configSet("maxmemory-policy", "noeviction");
      configured.destroy();
    }
    assert.equal(bridge.streams.opened, openedBefore);
  });

  test("UP9 commands that come together are requests of their own: one that is lost takes no other with it", async () => {
    const connection = place.connect();
    place.bridge.faults.push({ kind: "lost" });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) => connection.command("SET", `k${i}`, "v")),
    );
    assert.equal(outcomes.filter(({ status }) => status === "rejected").length, 1);
    assert.ok(place.bridge.requests.every(({ path }) => path === "/"));
  });
});
