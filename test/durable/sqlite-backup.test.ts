import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, copyFileSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { afterEach, describe, test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { openSqliteLog, type SqliteLog } from "../../src/durable/log-sqlite.ts";
import { integerOf } from "../../src/durable/sqlite-driver.ts";
import { verifyDatabase } from "../../src/durable/sqlite-verify.ts";
import type { StoreBackup } from "../../src/durable/store-backup.ts";
import { codes, createFaultyDriver } from "./faulty-driver.ts";
import { alice, epochOf, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";
import { makeFolder } from "./sqlite-folder.ts";

const everything = Number.MAX_SAFE_INTEGER;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function openLog() {
  const { path, folder, remove } = makeFolder();
  const driver = createFaultyDriver();
  const log = await openSqliteLog({ path, now: Date.now, driver });
  cleanups.push(async () => {
    driver.fault = () => undefined;
    await log.close();
    remove();
  });
  return { path, folder, driver, log, copy: join(folder, "copy.sqlite") };
}

/** Writes it to a file; `between` is run before each piece but the first. */
async function writeTo(copy: string, backup: StoreBackup, between: () => Promise<void> | void = () => {}) {
  writeFileSync(copy, "");
  let pieces = 0;
  for await (const chunk of backup.chunks()) {
    if (pieces++ > 0) await between();
    appendFileSync(copy, chunk);
  }
  assert.equal(statSync(copy).size, backup.bytes);
  return pieces;
}

/** Records of 1 KiB, so that the file has many pages. */
async function fillLarge(log: SqliteLog, sessionId: string, count: number): Promise<void> {
  const claim = await log.claim(sessionId, alice, epochOf(sessionId));
  const records = Array.from({ length: count }, (_, index) => {
    const seq = claim.head + 1 + index;
    return { seq, frame: new Uint8Array(1_024).fill(seq), payloadHash: seq };
  });
  const writers = [writerOf(alice, claim, claim.head + count)];
  const outcome = await log.append(sessionId, { epoch: claim.epoch, expectedHead: claim.head, records, writers });
  assert.equal(outcome.kind, "appended");
}

describe("a backup of the SQLite log", () => {
  test("BK1 is the log as it was when it began, whatever is written, trimmed and deleted meanwhile", async () => {
    const { log, copy } = await openLog();
    for (let n = 0; n < 8; n++) await fillLarge(log, "large", 400);
    await fill(log, "gone", 20);
    await log.putSnapshot("large", epochOf("large"), { seq: 1_000, bytes: new Uint8Array(50_000).fill(7) });
    const before = plain(await log.read("large", 1, everything, everything));
    const backup = log.openBackup();
    let rounds = 0;
    const pieces = await writeTo(copy, backup, async () => {
      rounds += 1;
      await fillLarge(log, "large", 300);
      await fill(log, `new-${rounds}`, 3);
      if (rounds === 3) await log.delete("gone");
      if (rounds === 5) await log.trim("large", epochOf("large"), 1_000);
    });
    assert.ok(pieces > 8, `${pieces} pieces`);
    assert.deepEqual(await verifyDatabase(copy), { sessions: 2, records: 3_220, damaged: [] });
    const copied = await openSqliteLog({ path: copy, now: Date.now });
    assert.deepEqual(plain(await copied.read("large", 1, everything, everything)), before);
    assert.deepEqual(plain(await copied.read("gone", 1, everything, everything)), plain(recordsAfter(0, 20)));
    await copied.close();
    // And the log has all that came meanwhile.
    assert.deepEqual(
      [(await log.describe("large"))?.head, (await log.describe("large"))?.first],
      [3_200 + 300 * rounds, 1_001],
    );
    assert.equal((await log.list("new-", "", 999)).length, rounds);
  });

  test("BK1 the write-ahead log is put into the database again afterwards, and grows no further", async () => {
    for (const end of ["read", "closed", "left"] as const) {
      const { log, path, copy } = await openLog();
      await fillLarge(log, "s", 400);
      const backup = log.openBackup();
      const before = statSync(path).size;
      // 40 MB, where 16 are put into the database as they come.
      for (let n = 0; n < 40; n++) await fillLarge(log, "s", 1_000);
      assert.equal(statSync(path).size, before, "held still");
      if (end === "read") await writeTo(copy, backup);
      else if (end === "closed") backup.close();
      else for await (const _ of backup.chunks()) break;
      await fillLarge(log, "s", 1);
      assert.ok(statSync(path).size > 10 * before, end);
      const grown = statSync(`${path}-wal`).size;
      for (let n = 0; n < 40; n++) await fillLarge(log, "s", 1_000);
      assert.ok(statSync(`${path}-wal`).size <= grown, end);
    }
  });

  test("BK2 the database stays locked: nobody else comes in, during a backup or after it", async () => {
    const { log, path, copy } = await openLog();
    await fillLarge(log, "s", 1_000);
    const refused = async () => {
      const child = spawn(process.execPath, [join(import.meta.dirname, "crash-writer.ts"), path], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      let errors = "";
      child.stderr.on("data", (chunk) => {
        errors += String(chunk);
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await once(child, "close");
      clearTimeout(timer);
      assert.match(errors, /is in use by another relay/);
    };
    let asked = 0;
    await writeTo(copy, log.openBackup(), async () => {
      if (asked++ === 0) await refused();
    });
    await refused();
    log.openBackup().close();
    await refused();
  });

  test("BK2 there is one at a time", async () => {
    const { log, copy } = await openLog();
    await fill(log, "s", 3);
    const first = log.openBackup();
    assert.throws(() => log.openBackup(), /another backup is under way/);
    first.close();
    first.close();
    const second = log.openBackup();
    await writeTo(copy, second);
    log.openBackup().close();
    assert.equal((await verifyDatabase(copy)).records, 3);
  });

  for (const [what, disturb] of [
    ["the log closes", async (log: SqliteLog) => log.close()],
    [
      "the database has to be opened anew",
      async (log: SqliteLog, driver: ReturnType<typeof createFaultyDriver>) => {
        driver.fault = (sql) => (sql === "COMMIT" ? codes.ioFsync : undefined);
        await rejectsWith(log.claim("s", alice, "e"), "LOG_UNAVAILABLE");
        driver.fault = () => undefined;
        await fill(log, "s", 1);
      },
    ],
  ] as const) {
    test(`BK3 where ${what}, it says that it is none`, async () => {
      const { log, driver, copy } = await openLog();
      for (let n = 0; n < 4; n++) await fillLarge(log, "s", 400);
      let disturbed = false;
      const written = writeTo(copy, log.openBackup(), async () => {
        if (!disturbed) await disturb(log, driver);
        disturbed = true;
      });
      await rejectsWith(written, "LOG_UNAVAILABLE");
    });
  }

  test("BK3 a disk that cannot take what the write-ahead log holds refuses it, and the log goes on", async () => {
    const { log, driver } = await openLog();
    await fill(log, "s", 3);
    driver.fault = (sql) => (sql.startsWith("PRAGMA wal_checkpoint") ? codes.full : undefined);
    assert.throws(() => log.openBackup(), /storage full/);
    driver.fault = () => undefined;
    await fill(log, "s", 3);
    log.openBackup().close();
  });

  test("BK4 a copy is looked through: sessions that are damaged are named", async () => {
    const { log, path, copy } = await openLog();
    for (const id of ["a", "b", "c"]) await fill(log, id, 300);
    await log.close();
    copyFileSync(path, copy);
    const db = (await loadDefaultDriver()).open(copy);
    db.exec("UPDATE segments SET records = CAST(replace(records, x'6d31', x'6d32') AS BLOB) WHERE session = 2");
    db.close();
    assert.deepEqual(await verifyDatabase(copy), { sessions: 3, records: 900, damaged: ["b"] });
  });

  test("BK4 a page that no session's records are on is looked at too", async () => {
    const { log, path, copy } = await openLog();
    await fill(log, "s", 3);
    for (let n = 0; n < 500; n++) await log.claim("s", { userId: `user-${n}`, clientId: "c" }, "e");
    await log.close();
    copyFileSync(path, copy);
    const db = (await loadDefaultDriver()).open(copy);
    const row = db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_clients_1'").get() ?? {};
    db.close();
    const page = integerOf(row, "rootpage");
    const file = readFileSync(copy);
    file.fill(0xff, page * 4_096 - 200, page * 4_096);
    writeFileSync(copy, file);
    await assert.rejects(verifyDatabase(copy), /copy\.sqlite is damaged/);
  });

  test("BK4 a copy that was cut off, is of a newer format, or is none, is refused by name", async () => {
    const { log, path, copy } = await openLog();
    for (let n = 0; n < 4; n++) await fillLarge(log, "s", 400);
    await log.close();
    copyFileSync(path, copy);
    truncateSync(copy, Math.floor(statSync(copy).size / 2 / 4_096) * 4_096);
    await rejectsWith(verifyDatabase(copy), "LOG_UNAVAILABLE");
    copyFileSync(path, copy);
    const db = (await loadDefaultDriver()).open(copy);
    db.exec("PRAGMA user_version = 3");
    db.close();
    await assert.rejects(verifyDatabase(copy), /written by a newer Baton/);
    writeFileSync(copy, readFileSync(path).subarray(0, 50));
    await assert.rejects(verifyDatabase(copy), /damaged or no database/);
  });
});
