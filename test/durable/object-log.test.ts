import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { configure, type LogRecord as LogLine, reset } from "@logtape/logtape";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { rowBytes } from "../../src/durable/object-append.ts";
import { createObjectLog } from "../../src/durable/object-log.ts";
import { maxRowBytes } from "../../src/durable/object-storage.ts";
import type { ClientKey, LogRecord, SessionLog } from "../../src/durable/session-log.ts";
import { integerOf } from "../../src/durable/sqlite-driver.ts";
import { codes, createFaultyDriver } from "./faulty-driver.ts";
import { LocalObjects } from "./local-objects.ts";
import { alice, bob, bytes, epochOf, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";

const driver = await loadDefaultDriver();
const everything = Number.MAX_SAFE_INTEGER;
const opened: LocalObjects[] = [];

function openObjects(settings: ConstructorParameters<typeof LocalObjects>[1] = {}, of = driver): LocalObjects {
  const objects = new LocalObjects(of, settings);
  opened.push(objects);
  return objects;
}

const recordsOf = (frames: readonly Uint8Array[], head = 0): LogRecord[] =>
  frames.map((frame, i) => ({ seq: head + 1 + i, frame, payloadHash: i }));

/** Appends frames of these sizes as one batch. */
async function appendSizes(log: SessionLog, sizes: readonly number[], key: ClientKey = alice) {
  const { epoch, generation, head } = await log.claim("s", key, epochOf("s"));
  const records = recordsOf(
    sizes.map((size, i) => new Uint8Array(size).fill(i + 1)),
    head,
  );
  const writers = [{ ...key, generation, lastClientSeq: head + sizes.length }];
  return await log.append("s", { epoch, expectedHead: head, records, writers });
}

const countRows = (objects: LocalObjects, table: string, sessionId = "s") =>
  integerOf(objects.storage(sessionId).db.prepare(`SELECT count(*) AS n FROM ${table}`).get() ?? {}, "n");

const seqsOf = async (log: SessionLog, from = 1) =>
  (await log.read("s", from, everything, everything)).map(({ seq }) => seq);

afterEach(() => {
  for (const objects of opened.splice(0)) objects.close();
});

describe("rows of an object's log", () => {
  test("DB1 records gather in one row until it is full, and a trim gives up whole rows", async () => {
    const objects = openObjects();
    const { log } = objects;
    for (let i = 0; i < 300; i++) await appendSizes(log, [184]);
    // 200 bytes each, with what a record has beside its frame.
    const full = Math.floor(rowBytes / 200);
    assert.equal(countRows(objects, "records"), Math.ceil(300 / full));
    const state = await log.describe("s");
    assert.deepEqual([state?.head, state?.bytes], [300, 300 * 184]);

    await log.putSnapshot("s", epochOf("s"), { seq: full + 7, bytes: bytes("x") });
    await log.trim("s", epochOf("s"), full + 7);
    assert.equal(countRows(objects, "records"), Math.ceil(300 / full) - 1);
    objects.evict();
    const trimmed = await log.describe("s");
    assert.deepEqual([trimmed?.first, trimmed?.bytes], [full + 8, (300 - full - 7) * 184]);
    assert.equal((await seqsOf(log, full + 8)).length, 300 - full - 7);
  });

  test("DB1 the numbers of many clients go to their own rows in time, and none is lost", async () => {
    const objects = openObjects();
    const { log } = objects;
    const keys = Array.from({ length: 600 }, (_, i) => ({ userId: `u${i}`, clientId: "c" }));
    for (const key of keys) await appendSizes(log, [1], key);
    const behind = () =>
      integerOf(
        objects.storage("s").db.prepare("SELECT count(*) AS n FROM clients WHERE last_client_seq = 0").get() ?? {},
        "n",
      );
    assert.equal(behind(), 600 - 513);
    for (const evict of [false, true]) {
      if (evict) objects.evict();
      for (const [i, key] of keys.entries()) {
        assert.equal((await log.claim("s", key, "unused")).lastClientSeq, i + 1);
      }
    }
  });

  test("DB5 a batch larger than a row is several, all or none of them", async () => {
    const faulty = createFaultyDriver();
    const objects = openObjects({}, faulty);
    const { log } = objects;
    const sizes = [900_000, 900_000, 900_000, 900_000, 100, 900_000];
    await log.claim("s", alice, epochOf("s"));
    let inserted = 0;
    faulty.fault = (sql, _, when) =>
      when === "before" && sql.startsWith("INSERT INTO records") && ++inserted === 2 ? codes.full : undefined;
    await rejectsWith(appendSizes(log, sizes), "LOG_FULL");
    faulty.fault = () => undefined;
    assert.equal(inserted, 2);
    assert.equal((await log.describe("s"))?.head, 0);
    assert.deepEqual(await appendSizes(log, sizes), { kind: "appended" });
    assert.equal(countRows(objects, "records"), 3);
    objects.evict();
    const read = await log.read("s", 1, everything, everything);
    assert.deepEqual(
      read.map(({ frame }) => [frame.length, frame[0]]),
      sizes.map((size, i) => [size, i + 1]),
    );
    const state = await log.describe("s");
    assert.equal(
      state?.bytes,
      sizes.reduce((sum, size) => sum + size),
    );
  });

  test("DB5 a record that does not fit into a row is refused before anything is written", async () => {
    const { log } = openObjects();
    await rejectsWith(appendSizes(log, [10, maxRowBytes]), "LOG_FULL");
    assert.equal((await log.describe("s"))?.head, 0);
    assert.deepEqual(await appendSizes(log, [maxRowBytes - 16]), { kind: "appended" });
    assert.deepEqual(await seqsOf(log), [1]);
  });

  test("DB5 a snapshot of any size is kept, and one of which a part is gone or changed is passed over", async () => {
    const objects = openObjects();
    const { log } = objects;
    await fill(log, "s", 9);
    const large = new Uint8Array(2 * maxRowBytes + 5).map((_, i) => i % 251);
    await log.putSnapshot("s", epochOf("s"), { seq: 3, bytes: bytes("small") });
    await log.putSnapshot("s", epochOf("s"), { seq: 5, bytes: large });
    await log.putSnapshot("s", epochOf("s"), { seq: 7, bytes: large });
    await log.putSnapshot("s", epochOf("s"), { seq: 9, bytes: new Uint8Array(0) });
    assert.equal(countRows(objects, "snapshots"), 1 + 3 + 3 + 1);
    assert.deepEqual(await log.latestSnapshot("s", 8), { seq: 7, bytes: large });
    assert.deepEqual(await log.latestSnapshot("s"), { seq: 9, bytes: new Uint8Array(0) });
    const { db } = objects.storage("s");
    db.exec("DELETE FROM snapshots WHERE seq = 7 AND part = 2");
    assert.equal((await log.latestSnapshot("s", 8))?.seq, 5);
    db.exec("UPDATE snapshots SET part = 3 - part WHERE seq = 5 AND part > 0");
    assert.equal((await log.latestSnapshot("s", 8))?.seq, 3);
  });
});

describe("an object's log and its bounds", () => {
  test("DB6 an object that is full refuses appends; it can be read, folded, trimmed and deleted", async () => {
    const objects = openObjects({ maxBytes: 1_000_000 });
    const { log } = objects;
    let appended = 0;
    for (; appended < 100; appended++) {
      const outcome = await appendSizes(log, [50_000]).catch(() => undefined);
      if (outcome === undefined) break;
    }
    assert.ok(appended > 10 && appended < 20, `${appended} records of 50,000 bytes`);
    await rejectsWith(appendSizes(log, [50_000]), "LOG_FULL");
    assert.equal((await seqsOf(log)).length, appended);
    await log.putSnapshot("s", epochOf("s"), { seq: appended - 1, bytes: bytes("x") });
    await log.trim("s", epochOf("s"), appended - 1);
    assert.equal((await log.describe("s"))?.first, appended);
    assert.equal(await log.delete("s"), epochOf("s"));
  });

  test("DB6 an object that nears its bound says so at 80 %, once", async () => {
    const said: LogLine["properties"][] = [];
    await configure({
      sinks: { said: ({ properties }) => void said.push(properties) },
      loggers: [
        { category: ["baton", "log"], sinks: ["said"], lowestLevel: "warning" },
        { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
      ],
      reset: true,
    });
    try {
      const { log } = openObjects({ maxBytes: 1_000_000 });
      for (let i = 0; i < 14; i++) await appendSizes(log, [50_000]);
      assert.ok(said.length < 1);
      for (let i = 0; i < 6; i++) await appendSizes(log, [20_000]);
      const used = Number(said[0]?.bytes);
      assert.deepEqual(said, [{ session: "s", bytes: used, maxBytes: 1_000_000 }]);
      assert.ok(used >= 800_000 && used < 900_000, String(used));
    } finally {
      await reset();
    }
  });

  test("DB6 a write that the platform refuses for lack of space is LOG_FULL, and leaves the log as it was", async () => {
    const faulty = createFaultyDriver();
    const { log } = openObjects({}, faulty);
    await fill(log, "s", 3);
    faulty.fault = (sql, _, when) => (sql.startsWith("UPDATE records") && when === "before" ? codes.full : undefined);
    await rejectsWith(appendSizes(log, [5]), "LOG_FULL");
    faulty.fault = () => undefined;
    assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 3)));
    assert.deepEqual(await appendSizes(log, [5]), { kind: "appended" });
  });

  test("DB3 an append that was written and not told is found by appending the same again", async () => {
    const faulty = createFaultyDriver();
    const { log } = openObjects({}, faulty);
    const claim = await fill(log, "s", 3);
    const records = recordsAfter(3, 2);
    const batch = { epoch: claim.epoch, expectedHead: 3, records, writers: [writerOf(alice, claim, 5)] };
    faulty.fault = (sql, _, when) => (sql.startsWith("UPDATE records") && when === "after" ? codes.ioWrite : undefined);
    await rejectsWith(log.append("s", batch), "LOG_UNAVAILABLE");
    faulty.fault = () => undefined;
    const again = await log.append("s", batch);
    assert.equal(again.kind, "conflict");
    assert.deepEqual(again.kind === "conflict" && plain(again.records), plain(records));
    assert.equal((await log.claim("s", alice, "unused")).lastClientSeq, 5);
  });

  test("DB2 appends that are asked for at once are each judged after the one before", async () => {
    const objects = openObjects();
    await fill(objects.log, "s", 1);
    const log = objects.object("s");
    const claim = await log.claim("s", alice, "unused");
    const writers = [writerOf(alice, claim, 2)];
    const at = (expectedHead: number, mark: string) =>
      log.append("s", { epoch: claim.epoch, expectedHead, records: recordsAfter(expectedHead, 1, mark), writers });
    const outcomes = await Promise.all([at(1, "a"), at(1, "b"), at(2, "c")]);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["appended", "conflict", "appended"],
    );
    const texts = (await log.read("s", 2, 3, everything)).map(({ frame }) => new TextDecoder().decode(frame));
    assert.deepEqual(texts, ["a2", "c3"]);
  });
});

describe("damage in an object's log", () => {
  /** 300 records in four rows, and an object that has been asked nothing since somebody was at its rows. */
  async function damaged(statement: string): Promise<LocalObjects> {
    const objects = openObjects();
    for (let i = 0; i < 300; i++) await appendSizes(objects.log, [184]);
    await fill(objects.log, "other", 3);
    assert.equal(countRows(objects, "records"), 4);
    for (const one of statement.split("; ")) objects.storage("s").db.exec(one);
    objects.evict();
    return objects;
  }

  const lastRow = "first_seq = (SELECT max(first_seq) FROM records)";
  const secondRow = "first_seq = (SELECT first_seq FROM records ORDER BY first_seq LIMIT 1 OFFSET 1)";

  for (const [what, statement] of [
    ["records of the last row", `UPDATE records SET records = substr(records, 1, 90) || X'00' WHERE ${lastRow}`],
    ["a last row that ends too early", `UPDATE records SET records = substr(records, 1, 200) WHERE ${lastRow}`],
    ["a last row that tells another end", `UPDATE records SET last_seq = last_seq - 1 WHERE ${lastRow}`],
    ["the numbers of writers", `UPDATE records SET writers = writers || '1' WHERE ${lastRow}`],
    ["a log without its rows", "DELETE FROM records; UPDATE session SET first = 7"],
  ] as const) {
    test(`DB7 set aside as it is: ${what}`, async () => {
      const cast = statement.replace(/SET records = (.*) WHERE/, "SET records = CAST($1 AS BLOB) WHERE");
      const { log } = await damaged(cast);
      await rejectsWith(log.claim("s", alice, "unused"), "LOG_DAMAGED");
      await rejectsWith(log.read("s", 1, 1, 1), "LOG_DAMAGED");
      const batch = { epoch: epochOf("s"), expectedHead: 300, records: recordsAfter(300, 1), writers: [] };
      await rejectsWith(log.append("s", batch), "LOG_DAMAGED");
      assert.ok((await log.describe("s")) !== undefined);
      assert.equal((await log.claim("other", bob, "unused")).head, 3);
      assert.equal(await log.delete("s", everything), "", "not by its age alone");
      assert.equal(await log.delete("s"), epochOf("s"));
      assert.equal((await log.claim("s", alice, "anew")).epoch, "anew");
    });
  }

  for (const [what, statement] of [
    ["records", `UPDATE records SET records = CAST(substr(records, 1, 90) || X'00' || substr(records, 92) AS BLOB)`],
    ["a row that ends too early", "UPDATE records SET records = CAST(substr(records, 1, 200) AS BLOB)"],
    ["a row that tells too early an end", "UPDATE records SET last_seq = last_seq - 1"],
    ["a row of another place", "UPDATE records SET start_checksum = start_checksum + 1"],
    ["a row that is gone", "DELETE FROM records"],
  ] as const) {
    test(`DB7 nothing behind the damage is served, and nobody writes on: ${what}`, async () => {
      const { log } = await damaged(`${statement} WHERE ${secondRow}`);
      assert.equal((await log.read("s", 1, 10, everything)).length, 10);
      assert.equal((await log.read("s", 290, 300, everything)).length, 11);
      await rejectsWith(log.read("s", 1, 300, everything), "LOG_DAMAGED");
      await rejectsWith(log.read("s", 1, 10, everything), "LOG_DAMAGED");
      await rejectsWith(log.claim("s", alice, "unused"), "LOG_DAMAGED");
    });
  }

  test("DB7 where nothing is left to fold from, the session is damaged", async () => {
    const objects = openObjects();
    const { log } = objects;
    await fill(log, "s", 9);
    await log.putSnapshot("s", epochOf("s"), { seq: 5, bytes: bytes("five") });
    objects.storage("s").db.exec("UPDATE snapshots SET checksum = checksum + 1");
    assert.equal(await log.latestSnapshot("s"), undefined, "record 1 is kept");
    await log.trim("s", epochOf("s"), 5);
    assert.equal((await log.describe("s"))?.first, 1, "no trim up to a snapshot that cannot be read");
    objects.storage("s").db.exec("UPDATE snapshots SET checksum = checksum - 1");
    await log.trim("s", epochOf("s"), 5);
    objects.storage("s").db.exec("UPDATE snapshots SET checksum = checksum + 1");
    await rejectsWith(log.latestSnapshot("s"), "LOG_DAMAGED");
  });

  test("DB7 what a newer relay wrote is left as it is", async () => {
    const objects = openObjects();
    await fill(objects.log, "s", 2);
    objects.storage("s").db.exec("UPDATE session SET format = 2");
    objects.evict();
    await rejectsWith(objects.log.describe("s"), "LOG_UNAVAILABLE");
    await rejectsWith(objects.log.claim("s", alice, "e"), "LOG_UNAVAILABLE");
    assert.equal(countRows(objects, "records"), 1);
  });
});

describe("clients of an object's log", () => {
  test("DB9 a client is forgotten some time after its last use, and what it wrote under before stays refused", async () => {
    let nowMs = 1_000_000_000;
    const objects = openObjects({ now: () => nowMs, clientTtlMs: 100_000 });
    const { log } = objects;
    const old = await log.claim("s", alice, "e");
    await log.claim("s", bob, "e");
    nowMs += 90_000;
    await log.claim("s", bob, "e");
    nowMs += 90_000;
    await log.claim("s", { userId: "carol", clientId: "c" }, "e");
    assert.equal(countRows(objects, "clients"), 2, "alice is forgotten");
    const writers = [writerOf(alice, old, 1)];
    const batch = { epoch: "e", expectedHead: 0, records: recordsAfter(0, 1), writers };
    assert.deepEqual(await log.append("s", batch), { kind: "superseded", clients: [alice] });
    assert.ok((await log.claim("s", alice, "e")).generation > old.generation);
  });

  test("DB9 the number of a client that wrote last long ago is not lost while others come and go", async () => {
    let nowMs = 1_000_000_000;
    const objects = openObjects({ now: () => nowMs, clientTtlMs: 100_000 });
    const { log } = objects;
    await fill(log, "s", 3);
    nowMs += 90_000;
    await fill(log, "s", 2);
    const { lastActivityMs } = (await log.describe("s")) ?? {};
    nowMs += 90_000;
    for (const clientId of ["a", "b"]) await log.claim("s", { userId: "guest", clientId }, "unused");
    objects.evict();
    assert.equal(lastActivityMs, 1_000_090_000);
    assert.equal((await log.claim("s", alice, "unused")).lastClientSeq, 5);
  });

  test("DB9 an append is an activity, also for the next instance", async () => {
    let nowMs = 1_000_000_000;
    const objects = openObjects({ now: () => nowMs });
    const claim = await fill(objects.log, "s", 1);
    nowMs += 7_000;
    const batch = {
      epoch: claim.epoch,
      expectedHead: 1,
      records: recordsAfter(1, 1),
      writers: [writerOf(alice, claim, 2)],
    };
    await objects.log.append("s", batch);
    objects.evict();
    assert.equal((await objects.log.describe("s"))?.lastActivityMs, nowMs);
    assert.equal(await objects.log.delete("s", nowMs), "");
    assert.equal(await objects.log.delete("s", nowMs + 1), claim.epoch);
  });

  test("DB9 clients of a session that begins anew are new, and what they write outlives the instance", async () => {
    const objects = openObjects();
    const { log } = objects;
    await fill(log, "s", 1);
    await fill(log, "s", 1, bob);
    await log.delete("s");
    await log.claim("s", alice, "anew");
    const claim = await log.claim("s", bob, "unused");
    objects.evict();
    const writers = [writerOf(bob, claim, 1)];
    const batch = { epoch: "anew", expectedHead: 0, records: recordsAfter(0, 1), writers };
    assert.deepEqual(await log.append("s", batch), { kind: "appended" });
  });

  test("DB9 claims increase over a clock that stands or goes back, over instances, and over a deletion", async () => {
    let nowMs = 1_000_000_000;
    const objects = openObjects({ now: () => nowMs });
    const { log } = objects;
    const generations: number[] = [];
    const claim = async () => generations.push((await log.claim("s", alice, "e")).generation);
    await claim();
    await claim();
    nowMs -= 500_000;
    await claim();
    objects.evict();
    await claim();
    await log.delete("s");
    await claim();
    nowMs += 1_000_000;
    await log.delete("s");
    objects.evict();
    await claim();
    assert.ok(
      generations.every((generation, i) => generation > (generations[i - 1] ?? 0)),
      String(generations),
    );
  });
});

describe("an object and the directory", () => {
  const listed = async (log: SessionLog) => (await log.list("", "", 10)).map(({ sessionId }) => sessionId);

  test("DB10 a directory that does not answer keeps nobody from a session, and is told later", async () => {
    const objects = openObjects();
    const { log } = objects;
    objects.directoryFault = new Error("gone");
    await fill(log, "by-claim", 1);
    await fill(log, "by-instance", 1);
    objects.directoryFault = undefined;
    assert.deepEqual(await listed(log), []);
    await log.claim("by-claim", bob, "unused");
    assert.deepEqual(await listed(log), ["by-claim"]);
    await objects.wakeAll();
    assert.deepEqual(await listed(log), ["by-claim", "by-instance"]);
  });

  test("DB10 a name whose session is gone is not listed, and goes; a page is filled nevertheless", async () => {
    const objects = openObjects();
    const { log } = objects;
    for (const id of ["a", "b", "c", "d", "e"]) await fill(log, id, 1);
    objects.directoryFault = new Error("gone");
    for (const id of ["b", "c"]) await log.delete(id);
    objects.directoryFault = undefined;
    assert.deepEqual(
      (await log.list("", "", 3)).map(({ sessionId }) => sessionId),
      ["a", "d", "e"],
    );
    assert.deepEqual(objects.directoryNames(), ["a", "d", "e"]);
  });

  test("DB10 a session that begins anew while its end is told stays listed", async () => {
    const objects = openObjects();
    await fill(objects.log, "s", 1);
    const object = objects.object("s");
    const [ended] = await Promise.all([object.delete("s"), object.claim("s", alice, "anew")]);
    assert.equal(ended, epochOf("s"));
    await object.settled();
    assert.deepEqual(await listed(objects.log), ["s"]);
    objects.evict();
    assert.equal((await objects.log.describe("s"))?.epoch, "anew");
  });

  test("DB10 what a slow directory is told comes in its order, and of the session that is there then", async () => {
    const objects = openObjects();
    const told: string[] = [];
    const listed = new Set<string>();
    let answerDirectory = () => {};
    const slow = (what: string, change: () => void) => async () => {
      told.push(what);
      await new Promise<void>((resolve) => {
        answerDirectory = resolve;
      });
      change();
    };
    const object = createObjectLog({
      sessionId: "s",
      storage: objects.storage("s"),
      directory: {
        add: slow("add", () => void listed.add("s")),
        remove: slow("remove", () => void listed.delete("s")),
      },
      shared: objects.log,
      now: Date.now,
    });
    const isListed = () => objects.storage("s").db.prepare("SELECT listed FROM session").get()?.listed;
    await object.claim("s", alice, "first");
    await object.delete("s");
    await object.claim("s", alice, "anew");
    const expected = ["add", "remove", "add"];
    for (let calls = 1; calls <= expected.length; calls++) {
      while (told.length < calls) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(told, expected.slice(0, calls));
      assert.equal(isListed(), 0);
      answerDirectory();
    }
    await object.settled();
    assert.deepEqual([[...listed], isListed()], [["s"], 1]);
  });

  test("DB10 an object asked for another session than its own refuses", async () => {
    const object = openObjects().object("s");
    await rejectsWith(object.describe("t"), "INTERNAL");
    await rejectsWith(object.claim("t", alice, "e"), "INTERNAL");
  });
});
