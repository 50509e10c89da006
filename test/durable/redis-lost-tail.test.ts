import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { startAnswerProxy } from "../support/answer-proxy.ts";
import { describeWithRedis } from "../support/redis-server.ts";
import { alice, bob, bytes, epochOf, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";
import { everything, patiently, type RedisBench, startBench } from "./redis-bench.ts";

/** What a failover to a replica that was behind does: the log is as it was. */
describeWithRedis("the log on a Redis that lost what came last", () => {
  let bench: RedisBench;
  before(async () => {
    bench = await startBench();
  });
  beforeEach(() => bench.command("FLUSHALL"));
  after(() => bench.dispose());

  const names = ["session:s", "records:s", "generation"].map((name) => `{baton:}${name}`);
  /** Remembers how the session is stored now; what it resolves with puts that back. */
  const remember = async (): Promise<() => Promise<void>> => {
    for (const name of names) await bench.command("COPY", name, `kept ${name}`, "REPLACE");
    return async () => {
      for (const name of names) await bench.command("COPY", `kept ${name}`, name, "REPLACE");
    };
  };

  const asks: readonly (readonly [string, (log: SessionLog) => Promise<string | undefined>])[] = [
    ["a description", async (log) => (await log.describe("s"))?.epoch],
    ["a claim", async (log) => (await log.claim("s", bob, "unused")).epoch],
    [
      "an append",
      async (log) => {
        const batch = { epoch: epochOf("s"), expectedHead: 8, records: recordsAfter(8, 1), writers: [] };
        const outcome = await log.append("s", batch);
        return outcome.kind === "epoch" ? outcome.epoch : outcome.kind;
      },
    ],
    ["a listing", async (log) => (await log.list("", "", 1))[0]?.epoch],
  ];
  for (const [what, ask] of asks) {
    test(`RL7 ${what} of a log whose head is behind what was written finds a new epoch`, async () => {
      const [log, other] = [await bench.open(), await bench.open()];
      await fill(log, "s", 5);
      const restore = await remember();
      await fill(log, "s", 3);
      await restore();
      const epoch = await ask(log);
      assert.ok(epoch !== undefined && epoch.length > 8 && epoch !== epochOf("s"), String(epoch));
      assert.equal((await other.describe("s"))?.epoch, epoch, "for all");
      assert.deepEqual(plain(await other.read("s", 1, everything, everything)), plain(recordsAfter(0, 5)));
      const claim = await other.claim("s", bob, "unused");
      const batch = { epoch: claim.epoch, expectedHead: 5, records: recordsAfter(5, 1, "x") };
      assert.deepEqual(await other.append("s", { ...batch, writers: [writerOf(bob, claim, 1)] }), { kind: "appended" });
      assert.equal((await log.describe("s"))?.epoch, epoch, "once");
    });
  }

  test("SL3 who holds a claim that was lost writes on, and whoever claims after that comes before it", async () => {
    const [log, other] = [await bench.open(), await bench.open()];
    const older = await fill(log, "s", 5);
    const restore = await remember();
    const claim = await log.claim("s", alice, "unused");
    await restore();
    const batch = (head: number, { generation }: { generation: number }) => ({
      epoch: epochOf("s"),
      expectedHead: head,
      records: recordsAfter(head, 1),
      writers: [{ ...alice, generation, lastClientSeq: head + 1 }],
    });
    assert.deepEqual(await log.append("s", batch(5, claim)), { kind: "appended" });
    assert.deepEqual(await other.append("s", batch(6, older)), { kind: "superseded", clients: [alice] });
    const next = await other.claim("s", alice, "unused");
    assert.ok(next.generation > claim.generation);
    assert.equal(next.lastClientSeq, 6);
    assert.deepEqual(await log.append("s", batch(6, claim)), { kind: "superseded", clients: [alice] });
    assert.deepEqual(await other.append("s", batch(6, next)), { kind: "appended" });
  });

  test("RL7 who only read it finds the loss as well", async () => {
    const [log, reader] = [await bench.open(), await bench.open()];
    await fill(log, "s", 5);
    const restore = await remember();
    await fill(log, "s", 3);
    await reader.read("s", 1, everything, everything);
    await restore();
    assert.notEqual((await reader.describe("s"))?.epoch, epochOf("s"));
  });

  test("RL7 where another record stands at the head that was seen, nothing is appended to it", async () => {
    const [log, other] = [await bench.open(), await bench.open()];
    await fill(log, "s", 5);
    const restore = await remember();
    const claim = await fill(log, "s", 3);
    await restore();
    // An instance that came later, and saw nothing of what was lost.
    const theirs = await other.claim("s", bob, "unused");
    const records = recordsAfter(5, 3, "theirs ");
    await other.append("s", { epoch: theirs.epoch, expectedHead: 5, records, writers: [writerOf(bob, theirs, 3)] });
    const writers = [writerOf(alice, claim, 9)];
    const outcome = await log.append("s", {
      epoch: claim.epoch,
      expectedHead: 8,
      records: recordsAfter(8, 1),
      writers,
    });
    assert.equal(outcome.kind, "epoch");
    assert.notEqual((await other.describe("s"))?.epoch, epochOf("s"));
  });

  for (const more of [1, 4]) {
    test(`RL7 records that stand on others than were seen are not given out: ${more} behind`, async () => {
      const [log, reader, other] = [await bench.open(), await bench.open(), await bench.open()];
      await fill(log, "s", 5);
      const restore = await remember();
      await fill(log, "s", 3);
      await reader.read("s", 1, everything, everything);
      await restore();
      const theirs = await other.claim("s", bob, "unused");
      const records = recordsAfter(5, 3 + more, "theirs ");
      // Once in the same pack as what stands where the head was, once in the next.
      const packs = more === 1 ? [records] : [records.slice(0, 3), records.slice(3)];
      for (const pack of packs) {
        const expectedHead = (pack[0]?.seq ?? 0) - 1;
        await other.append("s", {
          epoch: theirs.epoch,
          expectedHead,
          records: pack,
          writers: [writerOf(bob, theirs, 1)],
        });
      }
      await assert.rejects(reader.read("s", 9, everything, everything), (error) => {
        assert.ok(error instanceof BatonError && error.reason === "EPOCH_CHANGED");
        return true;
      });
      const batch = { epoch: epochOf("s"), expectedHead: 8, records: recordsAfter(8, 1), writers: [] };
      assert.equal((await log.append("s", batch)).kind, "epoch");
      assert.notEqual((await other.describe("s"))?.epoch, epochOf("s"));
    });
  }

  test("RL7 an epoch that begins for a loss is counted once, by the log that began it, also where the answer that told so was lost", async () => {
    const proxy = await startAnswerProxy(bench.redis.port);
    try {
      const [log, other] = [await bench.open({ url: `redis://127.0.0.1:${proxy.port}` }), await bench.open()];
      await fill(log, "s", 5);
      const restore = await remember();
      const claim = await fill(log, "s", 3);
      await other.read("s", 1, everything, everything);
      await restore();
      proxy.passAnswer = () => {
        proxy.passAnswer = () => true;
        return false;
      };
      await assert.rejects(log.describe("s"));
      assert.deepEqual([log.epochsBegun(), other.epochsBegun()], [0, 0]);
      assert.notEqual((await other.describe("s"))?.epoch, epochOf("s"));
      const writers = [writerOf(alice, claim, 9)];
      const batch = { epoch: epochOf("s"), expectedHead: 8, records: recordsAfter(8, 1), writers };
      const asked = () =>
        Promise.all([log.describe("s"), log.append("s", batch), log.describe("s"), other.describe("s")]);
      await patiently(asked);
      assert.deepEqual([log.epochsBegun(), other.epochsBegun()], [1, 0]);
      await asked();
      assert.deepEqual([log.epochsBegun(), other.epochsBegun()], [1, 0]);
    } finally {
      proxy.cut();
      await proxy.close();
    }
  });

  test("RL7 an answer that comes late is no loss: instances that write and look begin no epoch", async () => {
    const [log, other] = [await bench.open(), await bench.open()];
    const claim = await fill(log, "s", 1);
    const looks = [];
    for (let head = 1; head < 50; head++) {
      looks.push(log.describe("s"), other.describe("s"), other.read("s", 1, everything, everything));
      const batch = { epoch: claim.epoch, expectedHead: head, records: recordsAfter(head, 1) };
      const outcome = await log.append("s", { ...batch, writers: [writerOf(alice, claim, head + 1)] });
      assert.deepEqual(outcome, { kind: "appended" });
    }
    await Promise.all(looks);
    assert.deepEqual((await other.describe("s"))?.epoch, epochOf("s"));
  });

  test("RL8 a count that cannot be held whole is refused, and none is told twice for being rounded", async () => {
    const log = await bench.open();
    await bench.command("SET", "{baton:}generation", String(Number.MAX_SAFE_INTEGER - 1));
    assert.equal((await log.claim("s", alice, "e")).generation, Number.MAX_SAFE_INTEGER);
    for (let times = 0; times < 3; times++) await rejectsWith(log.claim("s", alice, "e"), "LOG_DAMAGED");
  });

  test("RL8 what the server had counted to is not counted again: claims of before stay refused, and new places are behind", async () => {
    const [log, other] = [await bench.open(), await bench.open()];
    const old = await fill(log, "s", 1);
    await log.revoke({ kind: "token", tokenId: "a" });
    const [last] = await log.revocations(0, 10);
    await bench.command("FLUSHALL");
    const anew = await other.claim("s", alice, epochOf("s"));
    assert.ok(anew.generation > old.generation, `${anew.generation} after ${old.generation}`);
    const batch = {
      epoch: anew.epoch,
      expectedHead: 0,
      records: recordsAfter(0, 1),
      writers: [writerOf(alice, old, 1)],
    };
    assert.equal((await other.append("s", batch)).kind, "superseded");
    await log.revoke({ kind: "token", tokenId: "b" });
    const since = await log.revocations(last?.place ?? 0, 10);
    assert.deepEqual(
      since.map(({ revocation }) => revocation),
      [{ kind: "token", tokenId: "b" }],
    );
    assert.deepEqual([...(await log.secret("resume", bytes("new")))], [...bytes("new")]);
  });
});
