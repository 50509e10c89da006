import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createServer } from "node:tls";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { createRedisLog } from "../../src/durable/log-redis.ts";
import { redisFailure } from "../../src/durable/redis-errors.ts";
import { describePersistence, findServerFault, parseInfo } from "../../src/durable/redis-server.ts";
import { connectRedisTcp } from "../../src/durable/redis-tcp.ts";
import { parseRedisUrl } from "../../src/durable/redis-url.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { certificate, certificateKey } from "../auth/issuer.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { fill } from "./log-contract.ts";
import { patiently, type RedisBench, startBench } from "./redis-bench.ts";

const sound =
  "redis_version:7.4.1\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\nrole:master\r\ncluster_enabled:0\r\naof_enabled:1\r\n";
const facts = (changes: string, appendFsync: string | undefined = "always") => ({
  info: parseInfo(`# Server\r\n${sound}${changes}`),
  appendFsync,
});

const canary = "PINEAPPLE-password";

async function refusal(promise: Promise<unknown>): Promise<BatonError> {
  const error = await promise.then(
    () => assert.fail("it was not refused"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof BatonError, String(error));
  assert.equal(error.reason, "LOG_UNAVAILABLE");
  assert.doesNotMatch(`${error.message} ${String(error.cause)} ${error.stack}`, /PINEAPPLE/);
  return error;
}

describe("which Redis a log can be kept in", () => {
  const cases: readonly (readonly [string, string, RegExp | undefined])[] = [
    ["one as it comes", "", undefined],
    ["Valkey", "valkey_version:8.0.1", undefined],
    ["memory without a bound", "maxmemory_policy:allkeys-lru", undefined],
    ["a bound that refuses", "maxmemory:1000", undefined],
    ["what throws out only what has a time to live", "maxmemory:1000\nmaxmemory_policy:volatile-ttl", undefined],
    [
      "what throws out anything",
      "maxmemory:1000\nmaxmemory_policy:allkeys-lru",
      /allkeys-lru.*set maxmemory-policy noeviction/,
    ],
    ["an older one", "redis_version:6.2.14", /6\.2\.14.*Redis 7/],
    ["one that tells no version", "redis_version:", /version/],
    ["a cluster's", "cluster_enabled:1", /cluster/],
    ["a replica", "role:slave", /replica.*primary/],
  ];
  for (const [what, changes, says] of cases) {
    test(`RL13 ${what} is ${says === undefined ? "taken" : "refused, in words"}`, () => {
      const fault = findServerFault(facts(changes));
      if (says === undefined) assert.equal(fault, undefined);
      else assert.match(fault ?? "", says);
    });
  }

  test("RL13 one that does not tell is refused", () => {
    assert.match(findServerFault({ info: undefined, appendFsync: undefined }) ?? "", /\+info/);
  });

  test("RL14 what an Ack means there is told where it is less than a synced disk", () => {
    assert.equal(describePersistence(facts("")), undefined);
    assert.match(describePersistence(facts("", "everysec")) ?? "", /last second.*appendfsync always/);
    assert.match(describePersistence(facts("", "no")) ?? "", /what was acked last/);
    assert.match(describePersistence(facts("aof_enabled:0")) ?? "", /appendonly yes/);
    assert.match(describePersistence({ ...facts(""), appendFsync: undefined }) ?? "", /\+config\|get/);
  });

  test("RL18 every error of a server has a name, and repeats nothing of what it was sent", () => {
    const table: readonly (readonly [string, string, RegExp])[] = [
      ["OOM command not allowed when used memory > 'maxmemory'.", "LOG_FULL", /maxmemory/],
      ["MISCONF Errors writing to the AOF file: No space left on device", "LOG_FULL", /disk/],
      ["MISCONF Redis is configured to save RDB snapshots", "LOG_UNAVAILABLE", /cannot save/],
      ["READONLY You can't write against a read only replica.", "LOG_UNAVAILABLE", /primary/],
      ["LOADING Redis is loading the dataset in memory", "LOG_UNAVAILABLE", /from disk/],
      ["NOAUTH Authentication required.", "LOG_UNAVAILABLE", /password/],
      ["WRONGPASS invalid username-password pair", "LOG_UNAVAILABLE", /password/],
      ["NOPERM this user has no permissions", "LOG_UNAVAILABLE", /does not let/],
      ["NOREPLICAS Not enough good replicas to write.", "LOG_UNAVAILABLE", /min-replicas/],
      ["MOVED 3999 127.0.0.1:6381", "LOG_UNAVAILABLE", /cluster/],
      ["BUSY Redis is busy running a script.", "LOG_UNAVAILABLE", /BUSY/],
      [`ERR unknown command 'x', with args beginning with: '${canary}'`, "LOG_UNAVAILABLE", /ERR/],
      [`${canary}`, "LOG_UNAVAILABLE", /PINEAPPLE|ERR/],
    ];
    for (const [text, reason, says] of table) {
      const error = redisFailure(text);
      assert.equal(error.reason, reason, text);
      assert.match(error.message, says);
      assert.doesNotMatch(error.message, /PINEAPPLE-/);
    }
  });

  test("RL19 an address says where, as whom, and whether with TLS", () => {
    const plain = { host: "h", port: 6379, tls: false, username: undefined, password: undefined, database: 0 };
    const read: readonly (readonly [string, ReturnType<typeof parseRedisUrl>])[] = [
      ["redis://h", plain],
      ["redis://h/", plain],
      ["rediss://h:6380/2", { ...plain, tls: true, port: 6380, database: 2 }],
      ["redis://:p%40%3A%2F@h", { ...plain, password: "p@:/" }],
      ["redis://me:p@[::1]:7000", { ...plain, host: "::1", port: 7000, username: "me", password: "p" }],
      ["http://h", undefined],
      ["redis://", undefined],
      ["redis://h/x", undefined],
      ["redis://h?x=1", undefined],
      ["redis://u:%zz@h", undefined],
      ["h:6379", undefined],
      ["", undefined],
    ];
    for (const [text, address] of read) assert.deepEqual(parseRedisUrl(text), address, text);
  });
});

describeWithRedis("a start on a Redis", () => {
  let bench: RedisBench;
  const told: LogRecord[] = [];
  before(async () => {
    await configure({
      sinks: { told: (record) => void told.push(record) },
      loggers: [
        { category: ["baton"], sinks: ["told"], lowestLevel: "trace" },
        { category: ["logtape", "meta"], sinks: [] },
      ],
      reset: true,
    });
    bench = await startBench({ requirepass: canary });
  });
  after(async () => {
    await bench.dispose();
    await reset();
  });
  const at = (user: string, password: string) => `redis://${user}:${password}@127.0.0.1:${bench.redis.port}`;
  const saidSince = (from: number) => told.slice(from).map(({ rawMessage }) => String(rawMessage));

  test("RL13 a server that throws data out is refused, and taken once it does not; also one that changes while it runs", async () => {
    const url = at("", canary);
    const connection = await connectRedisTcp({ url });
    await connection.command("CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru");
    assert.match((await refusal(connectRedisTcp({ url }))).message, /set maxmemory-policy noeviction/);
    await connection.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no").catch(() => undefined);
    const from = told.length;
    await patiently(async () => assert.ok(told.length > from + 1));
    await refusal(connection.command("PING"));
    const other = await connectRedisTcp({ url }).catch(() => undefined);
    assert.equal(other, undefined);
    await bench.redis.kill();
    await bench.redis.start();
    assert.equal(await patiently(() => connection.command("PING")), "PONG");
    await connection.close();
  });

  test("RL14 weak persistence is told once, in the relay's log", async () => {
    const always = told.length;
    const first = await connectRedisTcp({ url: at("", canary) });
    assert.deepEqual(saidSince(always), []);
    await first.command("CONFIG", "SET", "appendfsync", "everysec");
    const weak = await connectRedisTcp({ url: at("", canary) });
    assert.match(saidSince(always).join("\n"), /last second/);
    assert.equal(saidSince(always).length, 1);
    await first.command("CONFIG", "SET", "appendfsync", "always");
    await Promise.all([first.close(), weak.close()]);
  });

  test("RL15 a password that is wrong or missing, a server that is not there: told, and no credential with it", async () => {
    const url = at("", canary);
    assert.match((await refusal(connectRedisTcp({ url: at("", `${canary}x`) }))).message, /user and password/);
    assert.match((await refusal(connectRedisTcp({ url: at("nobody", canary) }))).message, /user and password/);
    assert.match(
      (await refusal(connectRedisTcp({ url: `redis://127.0.0.1:${bench.redis.port}` }))).message,
      /password/,
    );
    assert.match(
      (await refusal(connectRedisTcp({ url: `redis://:${canary}@127.0.0.1:1` }))).message,
      /127\.0\.0\.1:1.*REDIS_URL/,
    );
    assert.match((await refusal(connectRedisTcp({ url: `nonsense ${canary}` }))).message, /redis:/);
    const connection = await connectRedisTcp({ url });
    assert.match((await refusal(connection.command("NOSUCH", canary))).message, /ERR/);
    await bench.redis.kill();
    await patiently(async () => void (await refusal(connection.command("PING"))));
    await bench.redis.start();
    assert.equal(await patiently(() => connection.command("PING")), "PONG");
    await connection.close();
    assert.ok(told.length > 0);
    assert.doesNotMatch(JSON.stringify(told), /PINEAPPLE/);
  });

  test("RL15 a user with the rights that the documentation shows can do all that the log does, and nothing else", async () => {
    const admin = await connectRedisTcp({ url: at("", canary) });
    const rights = documentedRights();
    await admin.command("ACL", "SETUSER", "relay", "on", `>${canary}`, ...rights);
    const connection = await connectRedisTcp({ url: at("relay", canary) });
    const log = createRedisLog({ connection, prefix: "baton:", now: Date.now });
    const { epoch } = await fill(log, "s", 5);
    const rung = new Promise<void>((resolve) => void log.watch("s", () => resolve()));
    await log.putSnapshot("s", epoch, { seq: 3, bytes: new Uint8Array(5_000_000) });
    await log.latestSnapshot("s");
    await log.trim("s", epoch, 3);
    assert.equal((await log.read("s", 4, 9, 1e6)).length, 2);
    await log.dropSnapshot("s", epoch, 3);
    assert.equal((await log.list("", "", 9)).length, 1);
    await log.secret("a", new Uint8Array(3));
    await log.revoke({ kind: "user", userId: "u", issuedBeforeMs: 1 });
    assert.equal((await log.revocations(0, 9)).length, 1);
    await log.renewEpoch("s", epoch, "e");
    await rung;
    await connection.command("PUBLISH", "baton:bus", "x");
    for (const refused of [
      ["FLUSHALL"],
      ["GET", "other"],
      ["CONFIG", "SET", "maxmemory", "1"],
      ["PUBLISH", "other", "x"],
    ]) {
      const [name = "", ...args] = refused;
      assert.match((await refusal(connection.command(name, ...args))).message, /does not let/, name);
    }
    assert.equal(await log.delete("s"), "e");
    await Promise.all([log.close(), admin.close()]);
  });
});

test("RL19 with rediss: a certificate that nobody vouches for is refused", async () => {
  const server = createServer({ cert: certificate, key: certificateKey });
  let connections = 0;
  server.on("connection", () => {
    connections += 1;
  });
  server.on("secureConnection", (socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const { message } = await refusal(connectRedisTcp({ url: `rediss://:${canary}@127.0.0.1:${port}` }));
  assert.match(message, /SELF_SIGNED|ALTNAME|UNABLE_TO_VERIFY/);
  assert.equal(connections, 1);
  await new Promise((resolve) => server.close(resolve));
});

const operating = readFileSync(join(import.meta.dirname, "../../docs/operate.md"), "utf8");

/** Of the line that the documentation has people give to `redis-cli`. */
function documentedRights(): readonly string[] {
  const rights = /ACL SETUSER relay on '>[^']*' (.*)$/m.exec(operating)?.[1] ?? "";
  return rights.split(" ").map((word) => word.replaceAll("'", ""));
}
