import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { appendPatiently } from "../../src/relay/append-patiently.ts";
import { startAnswerProxy } from "../support/answer-proxy.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { alice, bob, bytes, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";
import { everything, patiently, type RedisBench, startBench } from "./redis-bench.ts";

const frames = async (log: SessionLog, sessionId: string) =>
  (await log.read(sessionId, 1, everything, everything)).map(({ frame }) => new TextDecoder().decode(frame));

describeWithRedis("the log on a Redis that fails", () => {
  let bench: RedisBench;
  before(async () => {
    bench = await startBench();
  });
  beforeEach(() => bench.command("FLUSHALL"));
  after(() => bench.dispose());

  test("RL1 an append whose answer was lost is in the log once, and is found when it comes again", async () => {
    const proxy = await startAnswerProxy(bench.redis.port);
    const log = await bench.open({ url: `redis://127.0.0.1:${proxy.port}` });
    const claim = await fill(log, "s", 2);
    let lost = 0;
    proxy.passAnswer = (answer) => {
      if (!answer.includes("appended") || lost > 0) return true;
      lost += 1;
      return false;
    };
    const writers = [writerOf(alice, claim, 5)];
    const batch = { epoch: claim.epoch, expectedHead: 2, records: recordsAfter(2, 3), writers };
    const outcome = await appendPatiently(
      batch,
      (again) => log.append("s", again),
      () => {},
      new AbortController().signal,
    );
    assert.deepEqual([outcome, lost], [{ kind: "found", after: [] }, 1]);
    assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 5)));
    assert.equal((await log.claim("s", alice, "e")).lastClientSeq, 5);
    await log.close();
    await proxy.close();
  });

  test("RL2 what waits for an answer when the connection breaks is LOG_UNAVAILABLE and is not sent again", async () => {
    const proxy = await startAnswerProxy(bench.redis.port);
    const connection = await bench.connect(`redis://127.0.0.1:${proxy.port}`);
    proxy.isAnswering = false;
    const waiting = [1, 2, 3].map(() => connection.command("INCR", "count"));
    const refused = Promise.all(waiting.map((one) => rejectsWith(one, "LOG_UNAVAILABLE")));
    // All three have come to the server, whose answers are kept.
    await patiently(async () => assert.equal(await bench.command("GET", "count"), "3"));
    proxy.isOpen = false;
    proxy.cut();
    await refused;
    await rejectsWith(connection.command("INCR", "count"), "LOG_UNAVAILABLE");
    const before = proxy.connections;
    proxy.isOpen = true;
    proxy.isAnswering = true;
    assert.equal(await patiently(() => connection.command("GET", "count")), "3");
    assert.ok(proxy.connections > before);
    await connection.close();
    await proxy.close();
  });

  test("RL2 a server that does not answer is left, and another connection made", async () => {
    const proxy = await startAnswerProxy(bench.redis.port);
    const connection = await bench.connect(`redis://127.0.0.1:${proxy.port}`);
    proxy.isAnswering = false;
    await rejectsWith(connection.command("SET", "a", "1"), "LOG_UNAVAILABLE");
    proxy.isAnswering = true;
    assert.equal(await patiently(() => connection.command("GET", "a")), "1");
    await connection.close();
    await proxy.close();
  });

  test("RL3 a server that has forgotten the scripts is sent each again, once, and nothing happens twice", async () => {
    const log = await bench.open();
    await fill(log, "s", 2);
    await bench.command("SCRIPT", "FLUSH");
    await bench.command("CONFIG", "RESETSTAT");
    await fill(log, "s", 2);
    await fill(log, "s", 1);
    const stats = String(await bench.command("INFO", "commandstats"));
    assert.equal(/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1], "2", "one claim, one append");
    assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 5)));
  });

  test("RL4 what was acked is there when the server was killed, and clients are known", async () => {
    const log = await bench.open();
    const claim = await fill(log, "s", 20);
    await log.putSnapshot("s", claim.epoch, { seq: 10, bytes: bytes("ten") });
    await log.revoke({ kind: "token", tokenId: "t" });
    await bench.redis.kill();
    await rejectsWith(log.describe("s"), "LOG_UNAVAILABLE");
    await bench.redis.start();
    const writers = [writerOf(alice, claim, 21)];
    const batch = { epoch: claim.epoch, expectedHead: 20, records: recordsAfter(20, 1), writers };
    assert.deepEqual(await patiently(() => log.append("s", batch)), { kind: "appended" });
    assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 21)));
    assert.equal((await log.latestSnapshot("s"))?.seq, 10);
    assert.equal((await log.revocations(0, 10)).length, 1);
  });

  test("RL5 a server without memory refuses appends LOG_FULL and writes nothing; reading and trimming go on", async () => {
    const log = await bench.open();
    const claim = await fill(log, "s", 20);
    await log.putSnapshot("s", claim.epoch, { seq: 10, bytes: bytes("ten") });
    const present = await log.describe("s");
    await bench.command("CONFIG", "SET", "maxmemory", "1mb");
    const writers = [writerOf(alice, claim, 21)];
    const batch = { epoch: claim.epoch, expectedHead: 20, records: recordsAfter(20, 1), writers };
    await rejectsWith(log.append("s", batch), "LOG_FULL");
    await rejectsWith(log.claim("s", bob, "e"), "LOG_FULL");
    assert.deepEqual(await log.describe("s"), present);
    await log.trim("s", claim.epoch, 10);
    assert.deepEqual(plain(await log.read("s", 11, everything, everything)), plain(recordsAfter(10, 10)));
    await fill(await bench.open(), "other", 1).then(
      () => assert.fail(),
      () => undefined,
    );
    await bench.command("CONFIG", "SET", "maxmemory", "0");
    assert.deepEqual(await log.append("s", batch), { kind: "appended" });
    assert.equal(
      (await log.describe("s"))?.bytes,
      recordsAfter(10, 11).reduce((sum, { frame }) => sum + frame.length, 0),
    );
  });

  test("RL6 instances that race for one session get every record in, once, in one order", async () => {
    const [writers, each] = [8, 20];
    const logs = await Promise.all(Array.from({ length: writers }, () => bench.open()));
    let conflicts = 0;
    await Promise.all(
      logs.map(async (log, w) => {
        const key = { userId: `user-${w}`, clientId: "c" };
        const claim = await log.claim("s", key, `epoch-${w}`);
        let head = claim.head;
        for (let n = 1; n <= each; ) {
          const records = [{ seq: head + 1, frame: bytes(`${w}:${n}`), payloadHash: n }];
          const outcome = await log.append("s", {
            epoch: claim.epoch,
            expectedHead: head,
            records,
            writers: [writerOf(key, claim, n)],
          });
          if (outcome.kind === "appended") {
            head += 1;
            n += 1;
            continue;
          }
          assert.equal(outcome.kind, "conflict");
          conflicts += 1;
          head += outcome.kind === "conflict" ? outcome.records.length : 0;
        }
      }),
    );
    assert.ok(conflicts > 0, "they did race");
    const all = await Promise.all(logs.map((log) => frames(log, "s")));
    for (const one of all) assert.deepEqual(one, all[0]);
    for (let w = 0; w < writers; w++) {
      assert.deepEqual(
        all[0]?.filter((text) => text.startsWith(`${w}:`)),
        Array.from({ length: each }, (_, i) => `${w}:${i + 1}`),
      );
    }
  });

  test("RL9 a log of which a part is missing is LOG_DAMAGED and set aside; others go on", async () => {
    const losses: readonly (readonly [string, readonly string[]])[] = [
      ["all records", ["DEL", "{baton:}records:s"]],
      ["the last pack", ["XDEL", "{baton:}records:s", "21-0"]],
      ["a pack between", ["XDEL", "{baton:}records:s", "11-0"]],
      ["the first pack", ["XDEL", "{baton:}records:s", "1-0"]],
    ];
    for (const [what, loss] of losses) {
      await bench.command("FLUSHALL");
      const log = await bench.open();
      for (let i = 0; i < 3; i++) await fill(log, "s", 10);
      const claim = await fill(log, "other", 3);
      assert.equal(await bench.command(...loss), 1, what);
      await rejectsWith(log.read("s", 1, everything, everything), "LOG_DAMAGED");
      await rejectsWith(log.read("s", 30, 30, everything), "LOG_DAMAGED");
      await rejectsWith(log.claim("s", alice, "e"), "LOG_DAMAGED");
      await rejectsWith(
        log.append("s", { epoch: "epoch of s", expectedHead: 30, records: recordsAfter(30, 1), writers: [] }),
        "LOG_DAMAGED",
      );
      assert.equal(await log.delete("s", everything), "", "not by its age");
      assert.equal((await frames(log, "other")).length, 3);
      assert.equal((await log.claim("other", alice, "e")).epoch, claim.epoch);
      assert.equal(await log.delete("s"), "epoch of s");
      assert.equal((await log.claim("s", alice, "begun anew")).head, 0);
    }
  });

  test("RL9 nothing is appended behind records that are gone", async () => {
    const log = await bench.open();
    const claim = await fill(log, "s", 10);
    await bench.command("DEL", "{baton:}records:s");
    const batch = { expectedHead: 10, records: recordsAfter(10, 1), writers: [writerOf(alice, claim, 11)] };
    await rejectsWith(log.append("s", { ...batch, epoch: claim.epoch }), "LOG_DAMAGED");
  });

  test("RL9 a session whose state is gone begins anew, and what was left of it belongs to none", async () => {
    const log = await bench.open();
    const old = await fill(log, "s", 10);
    await log.putSnapshot("s", old.epoch, { seq: 10, bytes: bytes("ten") });
    await bench.command("DEL", "{baton:}session:s");
    const batch = { epoch: old.epoch, expectedHead: 10, records: recordsAfter(10, 1), writers: [] };
    assert.deepEqual(await log.append("s", batch), { kind: "epoch", epoch: "" });
    const anew = await log.claim("s", alice, "anew");
    assert.deepEqual([anew.epoch, anew.head, anew.lastClientSeq], ["anew", 0, 0]);
    assert.equal(await log.latestSnapshot("s"), undefined);
    await fill(log, "s", 3);
    assert.deepEqual(await frames(log, "s"), ["m1", "m2", "m3"]);
  });

  test("RL9 a trimmed log whose snapshots are gone is LOG_DAMAGED", async () => {
    const log = await bench.open();
    const { epoch } = await fill(log, "s", 10);
    await log.putSnapshot("s", epoch, { seq: 5, bytes: bytes("five") });
    await log.trim("s", epoch, 5);
    await bench.command("DEL", "{baton:}snapshots:s");
    assert.equal(await log.latestSnapshot("s", 4), undefined, "before the trim there is none to miss");
    await rejectsWith(log.latestSnapshot("s"), "LOG_DAMAGED");
  });

  test("RL9 a state that is behind its own records is LOG_DAMAGED", async () => {
    const log = await bench.open();
    for (let i = 0; i < 3; i++) await fill(log, "s", 1);
    await bench.command("HSET", "{baton:}session:s", "head", "1");
    const other = await bench.open();
    const claim = await other.claim("s", alice, "e");
    const writers = [writerOf(alice, claim, 4)];
    const batch = { epoch: claim.epoch, expectedHead: 1, records: recordsAfter(1, 1), writers };
    await rejectsWith(other.append("s", batch), "LOG_DAMAGED");
  });

  test("RL9 a read that ends exactly at its bound misses nothing", async () => {
    const log = await bench.open();
    const claim = await log.claim("s", alice, "e");
    for (let head = 0; head < 4; head++) {
      const records = [{ seq: head + 1, frame: new Uint8Array(head === 0 ? 0 : 100), payloadHash: 0 }];
      await log.append("s", { epoch: "e", expectedHead: head, records, writers: [writerOf(alice, claim, head + 1)] });
    }
    assert.equal((await log.read("s", 1, everything, 200)).length, 3);
  });

  test("RL2 a server that has become a replica is left, for reading too, until there is a primary", async () => {
    const log = await bench.open();
    const claim = await fill(log, "s", 1);
    await bench.command("REPLICAOF", "127.0.0.1", "1");
    const writers = [writerOf(alice, claim, 2)];
    const batch = { epoch: claim.epoch, expectedHead: 1, records: recordsAfter(1, 1), writers };
    await rejectsWith(log.append("s", batch), "LOG_UNAVAILABLE");
    await rejectsWith(log.describe("s"), "LOG_UNAVAILABLE");
    await bench.command("REPLICAOF", "NO", "ONE");
    assert.deepEqual(await patiently(() => log.append("s", batch)), { kind: "appended" });
  });

  test("RL10 whatever text an id has, it is a name and nothing else", async () => {
    const log = await bench.open();
    const ids = [
      "{}",
      "{baton:}session:s",
      "a b",
      "a\nb",
      "a\r\n*1\r\n$8\r\nFLUSHALL",
      "'); redis.call('FLUSHALL') --",
      "KEYS[1]",
      "ARGV",
      "ü😀",
      "a:b",
      "a_3ab",
      "%s%f",
      "\0",
      "",
      "x".repeat(4_000),
    ];
    for (const [i, id] of ids.entries()) {
      const key = { userId: `${id}1`, clientId: id };
      const claim = await log.claim(id, key, `epoch ${i}`);
      const records = recordsAfter(0, 1, `${i}:`);
      const batch = { epoch: claim.epoch, expectedHead: 0, records, writers: [writerOf(key, claim, i + 1)] };
      assert.deepEqual(await log.append(id, batch), { kind: "appended" });
      await log.secret(id, bytes(id));
      await log.revoke({ kind: "user", userId: id, issuedBeforeMs: i });
    }
    for (const [i, id] of ids.entries()) {
      assert.deepEqual(await frames(log, id), [`${i}:1`]);
      assert.equal((await log.claim(id, { userId: `${id}1`, clientId: id }, "e")).lastClientSeq, i + 1);
      assert.deepEqual([...(await log.secret(id, bytes("late")))], [...bytes(id)]);
    }
    const listed = await log.list("", "", 100);
    assert.deepEqual(listed.map(({ sessionId }) => sessionId).sort(), ids.filter((id) => id !== "").sort());
    const revoked = (await log.revocations(0, 100)).map(({ revocation }) => revocation);
    assert.deepEqual(
      revoked,
      ids.map((userId, i) => ({ kind: "user", userId, issuedBeforeMs: i })),
    );
    const names = await bench.command("KEYS", "*");
    assert.ok(Array.isArray(names) && names.every((name) => String(name).startsWith("{baton:}")), String(names));
  });

  test("RL10 logs of different prefixes know nothing of each other", async () => {
    const [one, two] = [await bench.open({ prefix: "a:" }), await bench.open({ prefix: "a:b:" })];
    await fill(one, "s", 3);
    assert.equal(await two.describe("s"), undefined);
    await fill(two, "s", 1);
    await two.delete("s");
    assert.deepEqual(await frames(one, "s"), ["m1", "m2", "m3"]);
    assert.deepEqual(await two.list("", "", 10), []);
  });

  test("RL11 a large snapshot is stored in parts; one that lacks a part is passed over for an older one", async () => {
    const log = await bench.open();
    const { epoch } = await fill(log, "s", 10);
    const large = new Uint8Array(5 * 1024 * 1024 + 17).map((_, i) => (i * 31) >> 3);
    await log.putSnapshot("s", epoch, { seq: 4, bytes: bytes("four") });
    await log.putSnapshot("s", epoch, { seq: 8, bytes: large });
    const found = await log.latestSnapshot("s");
    assert.ok(found !== undefined && Buffer.from(found.bytes).equals(large));
    const fields = await bench.command("HKEYS", "{baton:}snapshots:s");
    const parts = Array.isArray(fields) ? fields.map(String).filter((field) => field.startsWith("8:")) : [];
    assert.equal(parts.length, 3);
    await bench.command("HDEL", "{baton:}snapshots:s", parts[1] ?? "");
    assert.equal((await log.latestSnapshot("s"))?.seq, 4);
    await log.trim("s", epoch, 8);
    assert.equal((await log.describe("s"))?.first, 1, "nothing could be folded onto it");
    await log.dropSnapshot("s", epoch, 8);
    const left = await bench.command("HLEN", "{baton:}snapshots:s");
    assert.equal(left, 2);
  });

  test("RL11 of a snapshot that was not kept no part stays", async () => {
    const log = await bench.open();
    const { epoch } = await fill(log, "s", 10);
    const large = new Uint8Array(5 * 1024 * 1024);
    const putting = log.putSnapshot("s", epoch, { seq: 8, bytes: large });
    await turn();
    await log.putSnapshot("s", epoch, { seq: 8, bytes: bytes("another instance's") });
    await putting;
    assert.equal(new TextDecoder().decode((await log.latestSnapshot("s"))?.bytes), "another instance's");
    assert.equal(await bench.command("HLEN", "{baton:}snapshots:s"), 2);
  });

  test("RL12 a client is forgotten some time after its last use, and what it wrote under before stays refused", async () => {
    let nowMs = 1_764_000_000_000;
    const log = await bench.open({ now: () => nowMs, clientTtlMs: 100_000 });
    const claim = await fill(log, "s", 3);
    nowMs += 70_000;
    await log.claim("s", bob, "e");
    assert.equal((await log.claim("s", alice, "e")).lastClientSeq, 3, "its time runs from its last use");
    nowMs += 170_000;
    await log.claim("s", { userId: "carol", clientId: "c" }, "e");
    const batch = { epoch: claim.epoch, expectedHead: 3, records: recordsAfter(3, 1) };
    assert.equal((await log.append("s", { ...batch, writers: [writerOf(alice, claim, 4)] })).kind, "superseded");
    assert.equal((await log.claim("s", alice, "e")).lastClientSeq, 0);
  });

  test("SL9 of very many clients some are looked at by each that is new, and all those that are old go in the end", async () => {
    let nowMs = 1_764_000_000_000;
    const log = await bench.open({ now: () => nowMs, clientTtlMs: 100_000 });
    const claim = (name: string, n: number) => log.claim("s", { userId: "carol", clientId: `${name}-${n}` }, "e");
    const kept = async () => Number(await bench.command("HLEN", "{baton:}session:s"));
    await Promise.all(Array.from({ length: 2_000 }, (_, n) => claim("old", n)));
    const many = await kept();
    assert.ok(many > 2_000, `${many} fields`);
    nowMs += 200_000;
    await claim("new", 0);
    const first = await kept();
    assert.ok(first < many && first > many - 500, `${first} of ${many} are left after one`);
    for (let n = 1; n <= 200; n++) await claim("new", n);
    assert.ok((await kept()) < 220, `${await kept()} are left`);
    assert.equal((await claim("new", 0)).lastClientSeq, 0);
  });

  test("SL10 a doorbell that says no head rings for whatever there may be", async () => {
    const log = await bench.open();
    await fill(log, "s", 1);
    const heard: (number | undefined)[] = [];
    const unwatch = log.watch("s", (head) => heard.push(head));
    await patiently(async () => assert.equal(heard.length, 1));
    for (const text of ["junk", "NaN", "1e400", '{"v":1}', "1.5", "7"]) {
      await bench.command("PUBLISH", "baton:doorbell:s", text);
    }
    await patiently(async () => assert.ok(heard.includes(7)));
    assert.deepEqual(heard, [undefined, undefined, undefined, undefined, undefined, undefined, 7]);
    unwatch();
  });

  test("RL16 every instance hears the doorbell, to which head, and again once a lost connection is back", async () => {
    const proxy = await startAnswerProxy(bench.redis.port);
    const [writer, listener] = [await bench.open(), await bench.open({ url: `redis://127.0.0.1:${proxy.port}` })];
    await fill(writer, "s", 1);
    const heard: (number | undefined)[] = [];
    const has = (head: number) => heard.some((one) => one === head);
    let ring = () => {};
    const rung = async (isDone: () => boolean) => {
      while (!isDone()) await new Promise<void>((resolve) => (ring = resolve));
    };
    const unwatch = listener.watch("s", (head) => {
      heard.push(head);
      ring();
    });
    await rung(() => heard.length === 1);
    assert.deepEqual(heard, [undefined], "what was said before is lost");
    await fill(writer, "s", 2);
    await rung(() => has(3));
    const epoch = await writer.renewEpoch("s", "epoch of s", "renewed");
    await rung(() => heard.length === 3);
    assert.deepEqual([heard.at(-1), epoch], [undefined, "renewed"]);
    proxy.cut();
    await rung(() => heard.length === 4);
    await fill(writer, "s", 1);
    await rung(() => has(4));
    unwatch();
    const channels = async () => await bench.command("PUBSUB", "CHANNELS", "baton:doorbell:*");
    await patiently(async () => assert.deepEqual(await channels(), []));
    await proxy.close();
  });

  test("RL16 a channel is subscribed to once, however many listen, and one that throws keeps nobody from hearing", async () => {
    const connection = await bench.connect();
    const heard: string[] = [];
    const listen = (name: string) => {
      let opened = () => {};
      const open = new Promise<void>((resolve) => {
        opened = resolve;
      });
      const end = connection.subscribe("c", { open: opened, message: (text) => void heard.push(`${name} ${text}`) });
      return { open, end };
    };
    const endThrowing = connection.subscribe("c", {
      open() {
        throw new Error("its own fault");
      },
      message() {
        throw new Error("its own fault");
      },
    });
    const [one, two] = [listen("one"), listen("two")];
    await Promise.all([one.open, two.open]);
    const late = listen("late");
    await late.open;
    assert.deepEqual(await bench.command("PUBSUB", "NUMSUB", "c"), ["c", 1]);
    await connection.command("PUBLISH", "c", "a b\n€");
    await patiently(async () => assert.equal(heard.length, 3));
    assert.deepEqual(heard.sort(), ["late a b\n€", "one a b\n€", "two a b\n€"]);
    for (const { end } of [one, two, late]) end();
    endThrowing();
    await patiently(async () => assert.deepEqual(await bench.command("PUBSUB", "NUMSUB", "c"), ["c", 0]));
    const again = listen("again");
    await again.open;
    await connection.command("PUBLISH", "c", "2");
    await patiently(async () => assert.ok(heard.includes("again 2")));
  });
});
