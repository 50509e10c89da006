import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import type { AppendBatch, Claim, SessionLog } from "../../src/durable/session-log.ts";
import { codes, createFaultyDriver, type FaultyDriver } from "./faulty-driver.ts";
import { alice, bytes, epochOf, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";
import { makeFolder } from "./sqlite-folder.ts";

const everything = Number.MAX_SAFE_INTEGER;
const cleanups: (() => Promise<void> | void)[] = [];

async function openFaulty(): Promise<{ driver: FaultyDriver; log: SessionLog; path: string }> {
  const { path, remove } = makeFolder();
  const driver = createFaultyDriver();
  const log = await openSqliteLog({ path, now: Date.now, driver });
  cleanups.push(async () => {
    driver.fault = () => undefined;
    await log.close();
    remove();
  });
  return { driver, log, path };
}

const batchOf = (claim: Claim, head: number, count: number, mark = "m"): AppendBatch => ({
  epoch: claim.epoch,
  expectedHead: head,
  records: recordsAfter(head, count, mark),
  writers: [writerOf(alice, claim, head + count)],
});

const readAll = async (log: SessionLog, sessionId: string) =>
  plain(await log.read(sessionId, 1, everything, everything));

describe("SQLite log under faults", () => {
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0)) await cleanup();
  });

  test("LG20 what comes in one turn of the event loop shares one commit", async () => {
    const { driver, log } = await openFaulty();
    const ids = Array.from({ length: 50 }, (_, i) => `s${i}`);
    const claims = await Promise.all(ids.map((id) => log.claim(id, alice, "e")));
    assert.equal(driver.count("COMMIT"), 1);
    const outcomes = await Promise.all(claims.map((claim, i) => log.append(ids[i] ?? "", batchOf(claim, 0, 2))));
    assert.ok(outcomes.every(({ kind }) => kind === "appended"));
    assert.equal(driver.count("COMMIT"), 2);
  });

  test("LG20 appends of one session that come together are each checked against the one before", async () => {
    const { log } = await openFaulty();
    const claim = await log.claim("s", alice, "e");
    const outcomes = await Promise.all([
      log.append("s", batchOf(claim, 0, 2, "first ")),
      log.append("s", batchOf(claim, 0, 1, "second ")),
      log.append("s", batchOf(claim, 2, 1, "third ")),
    ]);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["appended", "conflict", "appended"],
    );
    assert.deepEqual(
      await readAll(log, "s"),
      plain([...recordsAfter(0, 2, "first "), ...recordsAfter(2, 1, "third ")]),
    );
  });

  test("LG21 a commit that fails acks nothing, and the database is opened anew before it is used again", async () => {
    const { driver, log } = await openFaulty();
    const [a, b] = [await fill(log, "a", 3), await fill(log, "b", 3)];
    driver.fault = (sql, _values, when) => (sql === "COMMIT" && when === "before" ? codes.ioFsync : undefined);
    const both = [log.append("a", batchOf(a, 3, 1)), log.append("b", batchOf(b, 3, 1))];
    for (const append of both) await rejectsWith(append, "LOG_UNAVAILABLE");
    driver.fault = () => undefined;
    assert.equal(driver.opened, 1);
    assert.deepEqual(await readAll(log, "a"), plain(recordsAfter(0, 3)));
    assert.equal(driver.opened, 2);
    assert.deepEqual(await log.append("a", batchOf(a, 3, 1)), { kind: "appended" });
    assert.deepEqual(await log.append("b", batchOf(b, 3, 1)), { kind: "appended" });
  });

  test("LG21 a commit that was done and not told is found by appending the same again", async () => {
    const { driver, log } = await openFaulty();
    const claim = await fill(log, "s", 3);
    driver.fault = (sql, _values, when) => (sql === "COMMIT" && when === "after" ? codes.ioFsync : undefined);
    await rejectsWith(log.append("s", batchOf(claim, 3, 2)), "LOG_UNAVAILABLE");
    driver.fault = () => undefined;
    const outcome = await log.append("s", batchOf(claim, 3, 2));
    assert.deepEqual(outcome.kind === "conflict" && plain(outcome.records), plain(recordsAfter(3, 2)));
    assert.equal((await log.claim("s", alice, "e")).lastClientSeq, 5);
  });

  test("LG21 an I/O error in a statement acks nothing and leaves nothing", async () => {
    const { driver, log } = await openFaulty();
    const claim = await fill(log, "s", 3);
    driver.fault = (sql) => (sql.startsWith("INSERT INTO journal") ? codes.ioWrite : undefined);
    await rejectsWith(log.append("s", batchOf(claim, 3, 1)), "LOG_UNAVAILABLE");
    driver.fault = () => undefined;
    assert.deepEqual(await log.append("s", batchOf(claim, 3, 1)), { kind: "appended" });
    assert.equal(driver.opened, 2);
  });

  test("LG22 a lock that another holds for a moment is waited for; for long it is LOG_UNAVAILABLE", async () => {
    const { driver, log } = await openFaulty();
    const claim = await fill(log, "s", 1);
    let refusals = 3;
    driver.fault = (sql) => (sql.startsWith("BEGIN") && refusals-- > 0 ? codes.busy : undefined);
    assert.deepEqual(await log.append("s", batchOf(claim, 1, 1)), { kind: "appended" });
    refusals = everything;
    const [first, second] = [log.append("s", batchOf(claim, 2, 1)), log.append("s", batchOf(claim, 3, 1))];
    await rejectsWith(first, "LOG_UNAVAILABLE");
    await rejectsWith(second, "LOG_UNAVAILABLE");
    refusals = 0;
    assert.deepEqual(await log.append("s", batchOf(claim, 2, 1)), { kind: "appended" });
    assert.equal(driver.opened, 1);
  });

  test("LG23 a full disk refuses appends by name; reading goes on, and so do appends once there is space", async () => {
    const { driver, log, path } = await openFaulty();
    const limitPages = (count: number) => driver.connection.exec(`PRAGMA max_page_count = ${count}`);
    const claim = await log.claim("s", alice, "e");
    limitPages(40);
    let head = 0;
    for (let refused = false; !refused; ) {
      const records = [{ seq: head + 1, frame: new Uint8Array(1_000).fill(head), payloadHash: head }];
      const batch = { epoch: "e", expectedHead: head, records, writers: [writerOf(alice, claim, head + 1)] };
      await log.append("s", batch).then(
        () => {
          head += 1;
        },
        async (error) => {
          await rejectsWith(Promise.reject(error), "LOG_FULL");
          refused = true;
        },
      );
      assert.ok(head < 200, "40 pages of 4 KiB are full before");
    }
    assert.ok(head > 20);
    await rejectsWith(log.append("s", batchOf(claim, head, 30)), "LOG_FULL");
    const seqs = (await log.read("s", 1, everything, everything)).map(({ seq, frame }) => [seq, frame[0]]);
    assert.deepEqual(
      seqs,
      Array.from({ length: head }, (_, i) => [i + 1, i]),
    );
    assert.equal((await log.describe("s"))?.head, head);
    limitPages(1_000_000);
    assert.deepEqual(await log.append("s", batchOf(claim, head, 200)), { kind: "appended" });
    assert.equal(driver.opened, 1);
    const all = await readAll(log, "s");
    assert.equal(all.length, head + 200);
    await log.close();
    const again = await openSqliteLog({ path, now: Date.now });
    assert.deepEqual(await readAll(again, "s"), all);
    assert.equal((await again.claim("s", alice, "e")).lastClientSeq, head + 200);
    await again.close();
  });

  test("LG23 where the commit itself finds the disk full, nothing is kept, and the database is opened anew", async () => {
    const { driver, log } = await openFaulty();
    const [a, b] = [await fill(log, "a", 1), await fill(log, "b", 1)];
    driver.fault = (sql, _values, when) => (sql === "COMMIT" && when === "before" ? codes.full : undefined);
    await rejectsWith(log.append("a", batchOf(a, 1, 1)), "LOG_FULL");
    driver.fault = () => undefined;
    assert.deepEqual(await readAll(log, "a"), plain(recordsAfter(0, 1)));
    assert.equal(driver.opened, 2);
    let left = 1;
    driver.fault = (sql, _values, when) =>
      sql === "COMMIT" && when === "before" && left-- > 0 ? codes.full : undefined;
    const both = await Promise.all([log.append("a", batchOf(a, 1, 1)), log.append("b", batchOf(b, 1, 1))]);
    assert.deepEqual(both, [{ kind: "appended" }, { kind: "appended" }]);
    assert.equal(driver.opened, 3);
  });

  test("LG23 what does not fit does not take with it what does", async () => {
    const { driver, log } = await openFaulty();
    const [large, small] = [await fill(log, "large", 1), await fill(log, "small", 1)];
    driver.connection.exec("PRAGMA max_page_count = 60");
    const records = [{ seq: 2, frame: new Uint8Array(1024 * 1024), payloadHash: 0 }];
    const tooMuch = log.append("large", { ...batchOf(large, 1, 1), records });
    const fits = log.append("small", batchOf(small, 1, 1));
    await rejectsWith(tooMuch, "LOG_FULL");
    assert.deepEqual(await fits, { kind: "appended" });
    assert.equal((await log.describe("large"))?.head, 1);
  });

  test("LG23 an append that cannot be written for a reason of its own fails alone", async () => {
    const { driver, log } = await openFaulty();
    const claims = [await fill(log, "a", 1), await fill(log, "b", 1), await fill(log, "c", 1)] as const;
    const poison = batchOf(claims[1], 1, 1, "poison");
    driver.fault = (sql, values) =>
      sql.startsWith("INSERT INTO journal") &&
      values.some((value) => value instanceof Uint8Array && Buffer.from(value).includes("poison"))
        ? codes.constraint
        : undefined;
    const all = [
      log.append("a", batchOf(claims[0], 1, 1)),
      log.append("b", poison),
      log.append("c", batchOf(claims[2], 1, 1)),
    ] as const;
    assert.deepEqual(await all[0], { kind: "appended" });
    await rejectsWith(all[1], "INTERNAL");
    assert.deepEqual(await all[2], { kind: "appended" });
    assert.deepEqual(await readAll(log, "b"), plain(recordsAfter(0, 1)));
  });

  test("LG24 a client is forgotten a time after its last use, and what it wrote under before stays refused", async () => {
    const { path, remove } = makeFolder();
    const hour = 3_600_000;
    let nowMs = 1_000 * hour;
    const log = await openSqliteLog({ path, now: () => nowMs, clientTtlMs: 48 * hour });
    cleanups.push(async () => {
      await log.close();
      remove();
    });
    const old = await fill(log, "s", 3);
    nowMs += 40 * hour;
    await log.claim("s", { userId: "a", clientId: "1" }, "e");
    const kept = await log.claim("s", alice, "e");
    assert.equal(kept.lastClientSeq, 3);
    nowMs += 49 * hour;
    await log.claim("s", { userId: "a", clientId: "2" }, "e");
    assert.deepEqual(await log.append("s", batchOf(kept, 3, 1)), { kind: "superseded", clients: [alice] });
    const anew = await log.claim("s", alice, "e");
    assert.equal(anew.lastClientSeq, 0);
    assert.ok(anew.generation > kept.generation && kept.generation > old.generation);
  });

  test("LG25 a snapshot whose bytes changed is passed over for an older one", async () => {
    const { driver, log } = await openFaulty();
    await fill(log, "s", 10);
    await log.putSnapshot("s", epochOf("s"), { seq: 4, bytes: bytes("four") });
    await log.putSnapshot("s", epochOf("s"), { seq: 8, bytes: bytes("eight") });
    driver.connection.exec("UPDATE snapshots SET bytes = x'00' WHERE seq = 8");
    assert.equal((await log.latestSnapshot("s"))?.seq, 4);
    await log.trim("s", epochOf("s"), 8);
    assert.equal((await log.describe("s"))?.first, 1, "nothing is trimmed onto a damaged snapshot");
    await log.trim("s", epochOf("s"), 4);
    driver.connection.exec("UPDATE snapshots SET bytes = x'00'");
    await rejectsWith(log.latestSnapshot("s"), "LOG_DAMAGED");
    await rejectsWith(log.claim("s", alice, "e"), "LOG_DAMAGED");
  });
});
