// Appends through the port of the log, beside a bare table on the same disk. Arguments: rounds, a folder on that disk.
import { join } from "node:path";
import process from "node:process";
import { measureAppends } from "../../src/cli/bench/measure-appends.ts";
import { withTempFolder } from "../../src/cli/bench/temp-folder.ts";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { inTurn, print } from "./worker.ts";

const [rounds, parent] = process.argv.slice(2);
const frame = new Uint8Array(100).fill(7);
const driver = await loadDefaultDriver();

type Way = () => Promise<number>;

/** The table that one would write: a row a record, so many a commit. */
const floor =
  (recordsPerCommit: number, commits: number): Way =>
  () =>
    withTempFolder(async (folder) => {
      const db = driver.open(join(folder, "floor.db"));
      db.exec("PRAGMA journal_mode = WAL");
      db.exec("PRAGMA synchronous = FULL");
      db.exec("CREATE TABLE records(session INTEGER, seq INTEGER, frame BLOB)");
      const insert = db.prepare("INSERT INTO records VALUES(?, ?, ?)");
      const begin = db.prepare("BEGIN IMMEDIATE");
      const commit = db.prepare("COMMIT");
      const startMs = performance.now();
      for (let at = 0; at < commits; at++) {
        begin.run();
        for (let index = 0; index < recordsPerCommit; index++) insert.run(1, at * recordsPerCommit + index, frame);
        commit.run();
      }
      const result = ((commits * recordsPerCommit) / (performance.now() - startMs)) * 1000;
      db.close();
      return result;
    }, parent);

const sqlite =
  (appends: number, recordsPerAppend: number): Way =>
  () =>
    withTempFolder(async (folder) => {
      const log = await openSqliteLog({ path: join(folder, "baton.db"), now: Date.now });
      const result = await measureAppends(log, { appends, recordsPerAppend });
      await log.close();
      return result;
    }, parent);

const memory =
  (appends: number, recordsPerAppend: number): Way =>
  () =>
    measureAppends(createMemoryLog(Date.now), { appends, recordsPerAppend });

print([
  {
    name: "appends",
    edits: 0,
    figures: await inTurn(Number(rounds), {
      "floor 1": floor(1, 2_000),
      "floor 32": floor(32, 1_000),
      "floor 100": floor(100, 1_000),
      "sqlite 1": sqlite(1_000, 1),
      "sqlite 8": sqlite(250, 8),
      "memory 1": memory(1_000, 1),
      "memory 32": memory(125, 32),
    }),
  },
]);
