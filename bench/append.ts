import { Database } from "bun:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryLog } from "../src/durable/log-memory.ts";
import { openSqliteLog } from "../src/durable/log-sqlite.ts";
import type { SessionLog } from "../src/durable/session-log.ts";
import { type BenchOptions, inTurn, median, type Row, spread } from "./row.ts";
import { withTempFolder } from "./temp-folder.ts";

const frame = new Uint8Array(100).fill(7);
const sessionCount = 100;

/** Records a second. */
type Round = () => Promise<number>;

/** Appends through the port of the log, beside bare `bun:sqlite` that inserts the same frames on the same disk. */
export async function rows({ folder = tmpdir() }: BenchOptions): Promise<readonly Row[]> {
  const measured = await inTurn({
    "floor, 1 a commit": floor(folder, 1, 4_000),
    "floor, 32 a commit": floor(folder, 32, 2_000),
    "SQLite, 1": sqlite(folder, 1_000, 1),
    "SQLite, 8": sqlite(folder, 250, 8),
    "memory, 1": () => runSessions(createMemoryLog(Date.now), 1_000, 1),
    "memory, 32": () => runSessions(createMemoryLog(Date.now), 125, 32),
  });
  const one = measured("floor, 1 a commit");
  const peer = { name: "bun:sqlite, 32 a commit", value: median(measured("floor, 32 a commit")) };
  const row = (name: string, values: readonly number[], more: Partial<Row>): Row => ({
    name,
    value: median(values),
    unit: "records/s",
    note: `100 sessions, 100 B a record; runs ${spread(values)}`,
    ...more,
  });
  const goal = { atLeast: 100_000 };
  return [
    row("durable appends, SQLite log, 1 record an append", measured("SQLite, 1"), { goal, peer }),
    row("durable appends, SQLite log, 8 records an append", measured("SQLite, 8"), { goal, peer }),
    row("  the floor: bun:sqlite, 1 record a commit", one, { note: `100 B a record; runs ${spread(one)}` }),
    row("appends, memory log, 1 record an append", measured("memory, 1"), {}),
    row("appends, memory log, 32 records an append", measured("memory, 32"), {}),
  ];
}

const perSecond = (records: number, sinceMs: number) => (records / (performance.now() - sinceMs)) * 1000;

const floor =
  (parent: string, recordsPerCommit: number, commits: number): Round =>
  () =>
    withTempFolder(async (folder) => {
      const db = new Database(join(folder, "floor.db"));
      db.run("PRAGMA journal_mode = WAL");
      db.run("PRAGMA synchronous = FULL");
      db.run("CREATE TABLE records(session INTEGER, seq INTEGER, frame BLOB)");
      const insert = db.prepare("INSERT INTO records VALUES(?, ?, ?)");
      const commit = db.transaction((from: number) => {
        for (let index = 0; index < recordsPerCommit; index++) insert.run(1, from + index, frame);
      });
      const startMs = performance.now();
      for (let index = 0; index < commits; index++) commit(index * recordsPerCommit);
      const result = perSecond(commits * recordsPerCommit, startMs);
      db.close(true);
      return result;
    }, parent);

const sqlite =
  (parent: string, batches: number, recordsPerBatch: number): Round =>
  () =>
    withTempFolder(async (folder) => {
      const log = await openSqliteLog({ path: join(folder, "baton.db"), now: Date.now });
      const result = await runSessions(log, batches, recordsPerBatch);
      await log.close();
      return result;
    }, parent);

/** Each session has one client, that appends as fast as it is answered. */
async function runSessions(log: SessionLog, batches: number, recordsPerBatch: number): Promise<number> {
  const sessions = await Promise.all(
    Array.from({ length: sessionCount }, async (_, index) => {
      const key = { userId: `user-${index}`, clientId: "laptop" };
      const id = `team/session-${index}`;
      return { id, key, claim: await log.claim(id, key, "epoch") };
    }),
  );
  const startMs = performance.now();
  await Promise.all(
    sessions.map(async ({ id, key, claim }) => {
      for (let head = 0; head < batches * recordsPerBatch; head += recordsPerBatch) {
        const records = Array.from({ length: recordsPerBatch }, (_, index) => ({
          seq: head + 1 + index,
          frame,
          payloadHash: head + index,
        }));
        const writers = [{ ...key, generation: claim.generation, lastClientSeq: head + recordsPerBatch }];
        const outcome = await log.append(id, { epoch: claim.epoch, expectedHead: head, records, writers });
        if (outcome.kind !== "appended") throw new Error(`append: ${outcome.kind}`);
      }
    }),
  );
  return perSecond(sessionCount * batches * recordsPerBatch, startMs);
}
