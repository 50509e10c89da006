import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { AdminService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type RedisBench, startBench } from "../durable/redis-bench.ts";
import { edit, Stream, secret, transports } from "../relay/harness.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { custom, startWholeRelay, type WholeRelay } from "./whole-relay.ts";

/** What a name in the relay's Redis may look like, and a channel. */
const keyName = /^\{baton:\}[a-z-]+(:[A-Za-z0-9_-]+)?$/;

describeWithRedis("names in the Redis of a whole relay", () => {
  let bench: RedisBench;
  let relay: WholeRelay | undefined;
  before(async () => {
    bench = await startBench();
  });
  afterEach(async () => {
    await relay?.stop();
    relay = undefined;
    await bench.command("FLUSHALL");
  });
  after(() => bench.dispose());

  const texts = async (...args: readonly string[]): Promise<readonly string[]> => {
    const answer = await bench.command(...args);
    assert.ok(Array.isArray(answer));
    return answer.map(String);
  };
  const cachedScripts = async () =>
    Number(/number_of_cached_scripts:(\d+)/.exec(String(await bench.command("INFO", "memory")))?.[1]);
  const tokenFor = (sub: string, session: string, scope = "session:edit session:comment session:custom") =>
    signDevelopmentToken(secret, { sub, sessions: [session], scope, ttlSeconds: 600 }, Date.now());
  const admin = async (session: string) => ({
    headers: { authorization: `Bearer ${await tokenFor("op", session, "session:admin")}` },
  });

  test("BC17 sessions that come and go leave no more than one may make in a minute, and nothing once they are deleted", async () => {
    const own = await startWholeRelay({ kind: "redis", url: bench.redis.url, prefix: "baton:" }, { userSessions: 20 });
    relay = own;
    const base = (await texts("KEYS", "*")).length;
    const ends = new Map<string, number>();
    const entered: string[] = [];
    for (let n = 0; n < 60; n++) {
      const session = `churn-${n}`;
      const stream = await own.join({ as: "alice", session });
      const came = await Promise.race([stream.take("welcome").then(() => true), stream.ended.then(() => false)]);
      if (came) {
        entered.push(session);
        stream.send(custom("here"), { clientSeq: 1n });
        await stream.take("ack");
      }
      stream.finish();
      const { fault } = await stream.ended;
      ends.set(fault?.reason ?? "OK", (ends.get(fault?.reason ?? "OK") ?? 0) + 1);
    }
    assert.deepEqual(
      [...ends],
      [
        ["OK", 20],
        ["USER_LIMIT", 40],
      ],
    );
    // Its state and its records; one sorted set has all names, one number all generations.
    const keys = await texts("KEYS", "*");
    assert.equal(keys.length, base + 2 * entered.length + 2);
    const client = createClient(AdminService, transports.connect(own.url));
    for (const sessionId of entered) await client.deleteSession({ sessionId }, await admin(sessionId));
    assert.equal((await texts("KEYS", "*")).filter((key) => key.includes("churn")).length, 0);
    assert.equal(await bench.command("ZCARD", "{baton:}sessions"), 0);
  });

  test("BC17 whoever only reads a session that is not there makes nothing", async () => {
    const own = await startWholeRelay({ kind: "redis", url: bench.redis.url, prefix: "baton:" });
    relay = own;
    const before = await texts("KEYS", "*");
    for (let n = 0; n < 20; n++) {
      const reader = new Stream(own.client, await tokenFor("rita", `none-${n}`, "session:read"));
      reader.send({ case: "join", value: {} }, { sessionId: `none-${n}` });
      await reader.take("welcome");
      reader.cut();
    }
    assert.deepEqual([...(await texts("KEYS", "*"))].sort(), [...before].sort());
  });

  test("BC19 whatever people call themselves and what they write, it is a name or a value there, and no part of a script", async () => {
    const own = await startWholeRelay({ kind: "redis", url: bench.redis.url, prefix: "baton:" });
    relay = own;
    const nasty = [
      "{}",
      "{baton:}sessions",
      "a b",
      "a\nb",
      "a\r\n*1\r\n$8\r\nFLUSHALL\r\n",
      "'); redis.call('FLUSHALL') --",
      "]] redis.call('FLUSHALL') --[[",
      "KEYS[1]",
      "ARGV[7]",
      "%s%f%1",
      "*",
      "ü😀",
      "client ",
      "epoch",
      "head",
      "0-1",
      "MAXLEN",
      "x".repeat(200),
    ];
    const say = async (sub: string, session: string, text: string) => {
      const stream = new Stream(own.client, await tokenFor(sub, session));
      stream.send({ case: "join", value: { clientId: "c" } }, { sessionId: session });
      const { lastClientSeq } = await stream.take("welcome");
      assert.equal(lastClientSeq, 0n, `${sub} is nobody else`);
      stream.send({ case: "presence", value: { displayName: text.slice(0, 100) } });
      stream.send(edit(`${encodeURIComponent(text).slice(0, 100)}.ts`, 0, 0, 0, text), { clientSeq: 1n });
      stream.send({ case: "custom", value: { type: text.slice(0, 100), data: Buffer.from(text) } }, { clientSeq: 2n });
      stream.finish();
      assert.equal((await stream.ended).error, undefined);
      assert.ok(stream.kinds().includes("ack"), stream.kinds().join());
      assert.equal(stream.kinds().includes("fault"), false);
    };
    await say("plain", "warm", "plain");
    await bench.command("SET", "of another", "untouched");
    const scripts = await cachedScripts();
    for (const text of nasty) await say(text.replaceAll(/\p{Cc}/gu, "\u00b7"), "one", text);
    for (const session of ["a.b", "a/b", "a-b_c", "A", "a"]) await say("plain", session, "x");
    const keys = (await texts("KEYS", "*")).filter((key) => key !== "of another");
    assert.ok(keys.length > 12, String(keys));
    for (const key of keys) assert.match(key, keyName);
    for (const channel of await texts("PUBSUB", "CHANNELS", "*"))
      assert.match(channel, /^baton:[a-z]+(:[A-Za-z0-9_-]+)?$/);
    assert.ok((await cachedScripts()) - scripts <= 1, "no text became a script");
    assert.equal(await bench.command("GET", "of another"), "untouched");
    assert.equal(await bench.command("HLEN", "{baton:}session:one"), 9 + nasty.length);
    const sessions = await texts("ZRANGE", "{baton:}sessions", "0", "-1");
    assert.deepEqual([...sessions].sort(), ["A", "a", "a-b_c", "a.b", "a/b", "one", "warm"].sort());
  });
});
