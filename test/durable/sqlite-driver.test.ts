import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import type { SqlConnection } from "../../src/durable/sqlite-driver.ts";
import { primary, primaryCode } from "../../src/durable/sqlite-errors.ts";
import { runtimeName } from "../../src/runtime/this-runtime.ts";
import { makeFolder } from "./sqlite-folder.ts";

const driver = await loadDefaultDriver();

/** SQLite's extended code of a primary key that is there already. */
const primaryKeyTwice = 1555;

function withDatabase(use: (db: SqlConnection, path: string) => void): void {
  const { path, remove } = makeFolder();
  const db = driver.open(path);
  try {
    use(db, path);
  } finally {
    db.close();
    remove();
  }
}

/** A text of Deno's ends there where it is read; no name in the log has one. */
const nul = runtimeName === "deno" ? "" : "\u0000";

function codeOf(run: () => unknown): number | undefined {
  try {
    run();
  } catch (error) {
    return driver.resultCode(error);
  }
  return assert.fail("it went well");
}

describe("the runtime's SQLite", () => {
  test("NR1 gives back numbers, texts, bytes and nulls as they were put in", () => {
    withDatabase((db) => {
      db.exec("CREATE TABLE t(a, b, c, d)");
      const whole = Uint8Array.of(9, 0, 255, 9);
      const rows = [
        [Number.MAX_SAFE_INTEGER, `s${nul} \u{1f600}`, whole.subarray(1, 3), null],
        [-1, "", new Uint8Array(), null],
        [0.5, "x", new Uint8Array(100_000).fill(7), null],
      ] as const;
      const insert = db.prepare("INSERT INTO t VALUES(?, ?, ?, ?)");
      for (const row of rows) assert.equal(insert.run(...row), undefined);
      const read = db.prepare("SELECT a, b, c, d FROM t ORDER BY rowid").all();
      assert.equal(read.length, rows.length);
      for (const [i, row] of read.entries()) {
        const [a, b, c, d] = rows[i] ?? [];
        assert.ok(row.c instanceof Uint8Array);
        assert.deepEqual({ ...row, c: [...row.c] }, { a, b, c: [...(c ?? [])], d });
      }
    });
  });

  test("NR1 a row that is not there is undefined, and a statement takes its values anew each time", () => {
    withDatabase((db) => {
      const twice = db.prepare("SELECT ?1 AS a, ?2 AS b, ?1 AS c WHERE ?1 <> 'none'");
      assert.deepEqual({ ...twice.get("x", 2) }, { a: "x", b: 2, c: "x" });
      assert.deepEqual({ ...twice.get("y", 3) }, { a: "y", b: 3, c: "y" });
      assert.equal(twice.get("none", 1), undefined);
      assert.deepEqual(twice.all("none", 1), []);
    });
  });

  test("NR2 a failure has SQLite's own code, with its extension", () => {
    withDatabase((db, path) => {
      db.exec("CREATE TABLE t(a INTEGER PRIMARY KEY)");
      const insert = db.prepare("INSERT INTO t VALUES(?)");
      insert.run(1);
      assert.equal(
        codeOf(() => insert.run(1)),
        primaryKeyTwice,
      );
      assert.equal(primaryCode(codeOf(() => insert.run("no number"))), primary.mismatch);
      assert.equal(primaryCode(codeOf(() => driver.open(`${path}/below`))), primary.cantOpen);
      db.exec("BEGIN EXCLUSIVE");
      const other = driver.open(path);
      assert.equal(primaryCode(codeOf(() => other.exec("CREATE TABLE u(a)"))), primary.busy);
      other.close();
      db.exec("ROLLBACK");
    });
  });

  test("NR2 what SQLite did not throw has no code", () => {
    for (const error of [new Error("x"), Object.assign(new Error("x"), { errcode: "5" }), { errcode: 5 }, 5, null]) {
      assert.equal(driver.resultCode(error), undefined);
    }
  });

  test("NR3 a connection tells whether it is in a transaction, also where SQLite ended it by itself", () => {
    withDatabase((db) => {
      db.exec("CREATE TABLE t(a UNIQUE ON CONFLICT ROLLBACK)");
      assert.equal(db.inTransaction, false);
      db.exec("BEGIN IMMEDIATE");
      assert.equal(db.inTransaction, true);
      db.exec("INSERT INTO t VALUES(1)");
      assert.throws(() => db.exec("INSERT INTO t VALUES(1)"));
      assert.equal(db.inTransaction, false);
    });
  });

  test("NR3 a close lets go of the file and its lock, whatever is under way", () => {
    const { path, remove } = makeFolder();
    for (let round = 0; round < 3; round++) {
      const db = driver.open(path);
      db.exec("PRAGMA locking_mode = EXCLUSIVE");
      db.exec("PRAGMA journal_mode = WAL");
      db.exec("CREATE TABLE IF NOT EXISTS t(a)");
      const rows = db.prepare("SELECT a FROM t");
      assert.equal(rows.all().length, round);
      db.exec("INSERT INTO t VALUES(1)");
      db.exec("BEGIN IMMEDIATE");
      db.exec("INSERT INTO t VALUES(2)");
      rows.get();
      db.close();
    }
    remove();
  });

  test("NR3 foreign keys are not looked at, as SQLite has it where nobody asks", () => {
    withDatabase((db) => assert.deepEqual({ ...db.prepare("PRAGMA foreign_keys").get() }, { foreign_keys: 0 }));
  });
});
