import { Database } from "bun:sqlite";
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { crc32 } from "node:zlib";
import { chainStart } from "../../src/durable/chain.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { packRecords } from "../../src/durable/packed-records.ts";
import { alice, fill, plain, recordsAfter } from "./log-contract.ts";
import { makeFolder } from "./sqlite-folder.ts";

/** The tables as the first relays made them, to the letter: format 1, without revocations. */
const oldTables = [
  `CREATE TABLE sessions(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL,
    head INTEGER NOT NULL, first INTEGER NOT NULL, bytes INTEGER NOT NULL,
    head_checksum INTEGER NOT NULL, last_activity_ms INTEGER NOT NULL) STRICT`,
  `CREATE TABLE clients(
    id INTEGER PRIMARY KEY AUTOINCREMENT, session INTEGER NOT NULL, user_id TEXT NOT NULL, client_id TEXT NOT NULL,
    generation INTEGER NOT NULL, last_client_seq INTEGER NOT NULL, last_used_ms INTEGER NOT NULL,
    UNIQUE(session, user_id, client_id)) STRICT`,
  `CREATE TABLE journal(
    id INTEGER PRIMARY KEY, session INTEGER NOT NULL, first_seq INTEGER NOT NULL, start_checksum INTEGER NOT NULL,
    at_ms INTEGER NOT NULL, writers TEXT NOT NULL, writers_checksum INTEGER NOT NULL, records BLOB NOT NULL) STRICT`,
  `CREATE TABLE segments(
    session INTEGER NOT NULL, last_seq INTEGER NOT NULL, first_seq INTEGER NOT NULL, start_checksum INTEGER NOT NULL,
    records BLOB NOT NULL, PRIMARY KEY(session, last_seq)) STRICT, WITHOUT ROWID`,
  `CREATE TABLE snapshots(
    session INTEGER NOT NULL, seq INTEGER NOT NULL, checksum INTEGER NOT NULL, bytes BLOB NOT NULL,
    PRIMARY KEY(session, seq)) STRICT, WITHOUT ROWID`,
  "CREATE TABLE secrets(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT",
  "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT",
  "INSERT INTO counters VALUES('generation', 7)",
  `PRAGMA application_id = ${0x42_41_54_4e}`,
  "PRAGMA user_version = 1",
];

function withDatabase<T>(path: string, use: (db: Database) => T): T {
  const db = new Database(path);
  try {
    return use(db);
  } finally {
    db.close(true);
  }
}

const versionOf = (path: string) =>
  withDatabase(path, (db) => db.query<{ user_version: number }, []>("PRAGMA user_version").get()?.user_version);

/** A session of five records, folded as far as the third, as an old relay that was killed leaves it. */
function makeOldFile(path: string): void {
  const folded = packRecords(recordsAfter(0, 3), chainStart);
  const journalled = packRecords(recordsAfter(3, 2), folded.endChecksum);
  const frames = recordsAfter(0, 3).reduce((sum, { frame }) => sum + frame.length, 0);
  withDatabase(path, (db) => {
    for (const statement of oldTables) db.run(statement);
    db.run("INSERT INTO sessions VALUES(1, 'old', 'old epoch', 3, 1, ?, ?, 5)", [frames, folded.endChecksum]);
    db.run("INSERT INTO clients VALUES(1, 1, 'alice', 'laptop', 7, 3, 5)");
    db.run("INSERT INTO segments VALUES(1, 3, 1, ?, ?)", [chainStart, folded.bytes]);
    const writers = "1,5";
    const checksum = crc32(writers, journalled.endChecksum);
    const row = [1, 1, 4, folded.endChecksum, 6, writers, checksum, journalled.bytes];
    db.run("INSERT INTO journal VALUES(?, ?, ?, ?, ?, ?, ?, ?)", row);
    db.run("INSERT INTO secrets VALUES('resume', x'010203')");
  });
}

describe("a file of an older relay", () => {
  test("LG35 is taken as it is: its records, clients and secrets; and revocations can be kept in it", async () => {
    const { path, remove } = makeFolder();
    makeOldFile(path);
    const open = () => openSqliteLog({ path, now: () => 10 });
    let log = await open();
    assert.deepEqual(plain(await log.read("old", 1, 100, 1e6)), plain(recordsAfter(0, 5)));
    assert.deepEqual([...(await log.secret("resume", new Uint8Array(1)))], [1, 2, 3]);
    const claim = await log.claim("old", alice, "unused");
    assert.deepEqual([claim.epoch, claim.head, claim.lastClientSeq, claim.generation], ["old epoch", 5, 5, 8]);
    assert.deepEqual(await log.revocations(0, 10), []);
    await fill(log, "new", 3);
    await log.close();
    assert.equal(versionOf(path), 1, "an older relay still may have it");
    log = await open();
    await log.revoke({ kind: "token", tokenId: "t" });
    await log.close();
    assert.equal(versionOf(path), 2);
    log = await open();
    assert.equal((await log.revocations(0, 10)).length, 1);
    assert.deepEqual(plain(await log.read("old", 1, 100, 1e6)), plain(recordsAfter(0, 5)));
    await log.close();
    remove();
  });

  test("LG35 a new file is one that an older relay may open, until something is revoked in it", async () => {
    const { path, remove } = makeFolder();
    const log = await openSqliteLog({ path, now: Date.now });
    await fill(log, "s", 3);
    await log.close();
    assert.equal(versionOf(path), 1);
    // All that an older relay looks at is as it made it itself.
    const made = withDatabase(path, (db) =>
      db
        .query<{ sql: string }, []>("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")
        .all()
        .map(({ sql }) => sql),
    );
    for (const statement of oldTables.filter((sql) => sql.startsWith("CREATE"))) assert.ok(made.includes(statement));
    remove();
  });
});
