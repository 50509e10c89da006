import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { bytesOf, integerOf, type SqlConnection } from "../../src/durable/sqlite-driver.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { alice, epochOf, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";
import { makeFolder } from "./sqlite-folder.ts";

const driver = await loadDefaultDriver();
const everything = Number.MAX_SAFE_INTEGER;
const open = (path: string) => openSqliteLog({ path, now: Date.now, lockWaitMs: 0 });

async function refusal(opening: Promise<SessionLog>): Promise<string> {
  const error = await opening.then(
    () => assert.fail("it opened"),
    (reason) => reason,
  );
  assert.ok(error instanceof BatonError, String(error));
  assert.equal(error.reason, "LOG_UNAVAILABLE");
  return error.message;
}

/** Changes the database by a connection of its own, which the log has to have let go of. */
function alter<T>(path: string, change: (db: SqlConnection) => T): T {
  const db = driver.open(path);
  try {
    return change(db);
  } finally {
    db.close();
  }
}

/** Flips one bit of the first record's frame in a row of session `name`, and gives the rows as they are then. */
const flip = (path: string, table: "journal" | "segments", name: string, which: "first" | "last" = "first") =>
  alter(path, (db) => {
    const id = integerOf(db.prepare("SELECT id FROM sessions WHERE name = ?").get(name) ?? {}, "id");
    const where = `WHERE session = ${id}`;
    const order = `ORDER BY first_seq ${which === "first" ? "" : "DESC"} LIMIT 1`;
    const row = db.prepare(`SELECT first_seq, records FROM ${table} ${where} ${order}`).get() ?? {};
    const records = bytesOf(row, "records");
    records[16] = (records[16] ?? 0) ^ 0x10;
    db.prepare(`UPDATE ${table} SET records = ? ${where} AND first_seq = ?`).run(records, integerOf(row, "first_seq"));
    return db.prepare(`SELECT * FROM ${table} ${where}`).all();
  });

const rowsOf = (path: string, table: "journal" | "segments", session: number) =>
  alter(path, (db) => db.prepare(`SELECT * FROM ${table} WHERE session = ?`).all(session));

async function assertSetAside(log: SessionLog, sessionId: string, epoch: string): Promise<void> {
  const records = recordsAfter(150, 1);
  const append = () => log.append(sessionId, { epoch, expectedHead: 150, records, writers: [] });
  await rejectsWith(append(), "LOG_DAMAGED");
  await rejectsWith(log.claim(sessionId, alice, "x"), "LOG_DAMAGED");
  await rejectsWith(log.read(sessionId, 150, 150, 1), "LOG_DAMAGED");
  await rejectsWith(log.putSnapshot(sessionId, epoch, { seq: 1, bytes: new Uint8Array(1) }), "LOG_DAMAGED");
  await rejectsWith(log.trim(sessionId, epoch, 1), "LOG_DAMAGED");
  await rejectsWith(log.renewEpoch(sessionId, epoch, "x"), "LOG_DAMAGED");
}

describe("SQLite log and its files", () => {
  test("LG28 a bit flipped in a segment sets that session aside, unchanged; the others go on", async () => {
    const { path, remove } = makeFolder();
    let log = await open(path);
    const claim = await fill(log, "a", 150);
    await fill(log, "b", 150);
    await log.close();
    const damaged = flip(path, "segments", "a");
    log = await open(path);
    await rejectsWith(log.read("a", 1, 10, everything), "LOG_DAMAGED");
    await assertSetAside(log, "a", claim.epoch);
    await fill(log, "b", 50);
    assert.deepEqual(plain(await log.read("b", 1, everything, everything)), plain(recordsAfter(0, 200)));
    await log.close();
    assert.deepEqual(rowsOf(path, "segments", 1), damaged);
    log = await open(path);
    await log.delete("a");
    assert.equal((await log.claim("a", alice, "anew")).head, 0);
    await log.close();
    assert.deepEqual(rowsOf(path, "segments", 1), []);
    remove();
  });

  for (const which of ["first", "last"] as const) {
    test(`LG28 a bit flipped in the ${which} row of the journal does the same from the start on`, async () => {
      const { path, folder, remove } = makeFolder();
      const first = await open(path);
      const claim = await fill(first, "a", 20);
      for (let i = 0; i < 4; i++) await fill(first, "b", 5);
      await fill(first, "a", 20);
      const copy = join(folder, "copy.db");
      copyFileSync(path, copy);
      copyFileSync(`${path}-wal`, `${copy}-wal`);
      await first.close();
      const damaged = flip(copy, "journal", "a", which);
      assert.equal(damaged.length, 2);
      for (let round = 0; round < 2; round++) {
        const log = await open(copy);
        await assertSetAside(log, "a", claim.epoch);
        await fill(log, "b", 100);
        assert.equal((await log.read("b", 1, everything, everything)).length, 20 + 100 * (round + 1));
        await log.close();
        assert.deepEqual(rowsOf(copy, "journal", 1), damaged);
        assert.deepEqual(rowsOf(copy, "journal", 2), []);
      }
      const log = await open(copy);
      await log.delete("a");
      await log.close();
      assert.deepEqual(rowsOf(copy, "journal", 1), []);
      remove();
    });
  }

  test("LG28 a client's number that changed in the journal is damage too", async () => {
    const { path, folder, remove } = makeFolder();
    const first = await open(path);
    const claim = await fill(first, "a", 150);
    const writers = [writerOf(alice, claim, 151)];
    await first.append("a", { epoch: claim.epoch, expectedHead: 150, records: recordsAfter(150, 1), writers });
    const copy = join(folder, "copy.db");
    copyFileSync(path, copy);
    copyFileSync(`${path}-wal`, `${copy}-wal`);
    await first.close();
    alter(copy, (db) => db.exec("UPDATE journal SET writers = '1,152' WHERE writers = '1,151'"));
    const log = await open(copy);
    await rejectsWith(log.claim("a", alice, "e"), "LOG_DAMAGED");
    await log.close();
    remove();
  });

  for (const [what, change] of [
    ["the last segment is lost", "DELETE FROM segments WHERE last_seq = (SELECT max(last_seq) FROM segments)"],
    ["the first segment is lost", "DELETE FROM segments WHERE first_seq = 1"],
    ["a segment in the middle is lost", "DELETE FROM segments WHERE first_seq > 1 AND last_seq < 900"],
    ["a segment is another's", "UPDATE segments SET start_checksum = start_checksum + 1 WHERE first_seq > 1"],
    ["a number is beyond 2^53", "UPDATE segments SET start_checksum = 1 << 60 WHERE first_seq > 1"],
    ["the last record is cut off", "UPDATE segments SET records = substr(records, 1, length(records) - 20)"],
    ["the head's checksum is another", "UPDATE sessions SET head_checksum = head_checksum + 1"],
  ] as const) {
    test(`LG28 it is damage when ${what}`, async () => {
      const { path, remove } = makeFolder();
      let log = await open(path);
      for (let i = 0; i < 3; i++) await fill(log, "a", 300);
      await log.close();
      alter(path, (db) => db.exec(change));
      log = await open(path);
      await rejectsWith(log.read("a", 1, everything, everything), "LOG_DAMAGED");
      await log.close();
      remove();
    });
  }

  test("LG28 a segment that is sound in itself but of another session is damage", async () => {
    const { path, remove } = makeFolder();
    let log = await open(path);
    for (const id of ["a", "b"]) {
      const claim = await log.claim(id, alice, "e");
      for (let head = 0; head < 900; head += 300) {
        const writers = [writerOf(alice, claim, head + 300)];
        await log.append(id, { epoch: "e", expectedHead: head, records: recordsAfter(head, 300, id), writers });
      }
    }
    await log.close();
    alter(path, (db) => {
      db.exec("DELETE FROM segments WHERE session = 1 AND first_seq = 301");
      db.exec("UPDATE segments SET session = 1 WHERE session = 2 AND first_seq = 301");
    });
    log = await open(path);
    await rejectsWith(log.read("a", 1, 400, everything), "LOG_DAMAGED");
    await log.close();
    remove();
  });

  test("LG38 a damaged session is not deleted by its age", async () => {
    const { path, remove } = makeFolder();
    let log = await open(path);
    await fill(log, "a", 150);
    await log.close();
    flip(path, "segments", "a");
    log = await open(path);
    await rejectsWith(log.read("a", 1, 10, everything), "LOG_DAMAGED");
    assert.equal(await log.delete("a", everything), "");
    assert.notEqual(await log.describe("a"), undefined);
    assert.equal(await log.delete("a"), epochOf("a"));
    await log.close();
    remove();
  });

  test("LG16 what is acked is synced: a power cut takes nothing of it", async () => {
    const { path, remove } = makeFolder();
    const opened: SqlConnection[] = [];
    const watched = {
      ...driver,
      open(file: string) {
        const db = driver.open(file);
        opened.push(db);
        return db;
      },
    };
    const log = await openSqliteLog({ path, now: Date.now, driver: watched });
    // 2 is FULL: in WAL mode each commit is synced.
    assert.deepEqual(
      opened.map((db) => integerOf(db.prepare("PRAGMA synchronous").get() ?? {}, "synchronous")),
      [2],
    );
    await log.close();
    remove();
  });

  test("LG11 of a deleted session nothing stays in the file", async () => {
    const { path, remove } = makeFolder();
    const log = await open(path);
    await fill(log, "gone", 300);
    await fill(log, "gone", 3);
    await log.putSnapshot("gone", epochOf("gone"), { seq: 300, bytes: new Uint8Array(9) });
    await log.delete("gone");
    await fill(log, "kept", 3);
    await log.close();
    const counts = alter(path, (db) =>
      ["clients", "journal", "segments", "snapshots"].map((table) =>
        integerOf(db.prepare(`SELECT count(*) AS n FROM ${table}`).get() ?? {}, "n"),
      ),
    );
    assert.deepEqual(counts, [1, 0, 1, 0]);
    remove();
  });

  test("LG29 a data folder that cannot be made is named, with what to do", async () => {
    const { folder, remove } = makeFolder();
    writeFileSync(join(folder, "file"), "in the way");
    const message = await refusal(open(join(folder, "file", "data", "baton.db")));
    assert.ok(message.includes(join(folder, "file", "data")), message);
    assert.match(message, /BATON_DATA_DIR/);
    mkdirSync(join(folder, "is-a-folder.db"));
    assert.match(
      await refusal(open(join(folder, "is-a-folder.db"))),
      new RegExp(`data folder ${folder} .*BATON_DATA_DIR`),
    );
    remove();
  });

  const root = process.getuid?.() === 0;
  test(`LG29 so is one that may not be written${root ? " (skipped: root may write anywhere)" : ""}`, {
    skip: root,
  }, async () => {
    const { folder, remove } = makeFolder();
    mkdirSync(join(folder, "data"));
    chmodSync(join(folder, "data"), 0o500);
    const message = await refusal(open(join(folder, "data", "baton.db")));
    assert.ok(message.includes(join(folder, "data")), message);
    chmodSync(join(folder, "data"), 0o700);
    remove();
  });

  test("LG29 a folder that is missing is made", async () => {
    const { folder, remove } = makeFolder();
    const log = await open(join(folder, "a", "b", "baton.db"));
    await fill(log, "s", 1);
    await log.close();
    remove();
  });

  test("LG30 a newer format is refused by name and left as it is", async () => {
    const { path, remove } = makeFolder();
    const log = await open(path);
    await fill(log, "s", 1);
    await log.close();
    alter(path, (db) => db.exec("PRAGMA user_version = 3"));
    const before = readFileSync(path);
    const message = await refusal(open(path));
    assert.deepEqual(readFileSync(path), before);
    assert.match(message, /baton\.db was written by a newer Baton \(format 3; this one reads up to 2\)/);
    alter(path, (db) => db.exec("PRAGMA user_version = 1"));
    const again = await open(path);
    assert.equal((await again.describe("s"))?.head, 1);
    await again.close();
    remove();
  });

  test("LG30 another program's database, and what is no database, are refused and left as they are", async () => {
    const { folder, path, remove } = makeFolder();
    alter(path, (db) => db.exec("CREATE TABLE other(x)"));
    const before = readFileSync(path);
    assert.match(await refusal(open(path)), /baton\.db is a database of another program/);
    assert.deepEqual(readFileSync(path), before);
    const text = join(folder, "text.db");
    writeFileSync(text, "this is no database, ".repeat(500));
    assert.match(await refusal(open(text)), /text\.db is damaged or no database/);
    assert.equal(readFileSync(text, "utf8"), "this is no database, ".repeat(500));
    remove();
  });
});
