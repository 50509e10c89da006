/**
 * Durable appends: `npx bun bench/append.ts [folder]`
 *
 * 100 sessions, each with one client that appends as fast as it is answered, through the port of the SQLite log
 * (`synchronous=FULL`, group commit), frames of 100 bytes. Beside it, in the same run and on the same disk, the floor:
 * bare `bun:sqlite` that inserts the same frames into one table, one record a commit and 32 a commit. Five rounds of
 * each, taken in turn; the median and the range are printed. The folder (default: one made below the present one) says
 * which disk is measured; a folder in memory measures nothing.
 */
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createMemoryLog } from "../src/durable/log-memory.ts";
import { openSqliteLog } from "../src/durable/log-sqlite.ts";
import type { SessionLog } from "../src/durable/session-log.ts";

const frame = new Uint8Array(100).fill(7);
const rounds = 5;

/** Records a second. */
type Round = () => Promise<number>;

const perSecond = (records: number, sinceMs: number) => (records / (performance.now() - sinceMs)) * 1000;

async function inFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(process.argv[2] ?? ".", ".bench-append-"));
  try {
    return await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const floor =
  (recordsPerCommit: number, commits: number): Round =>
  () =>
    inFolder(async (folder) => {
      const db = new Database(join(folder, "floor.db"));
      db.run("PRAGMA journal_mode = WAL");
      db.run("PRAGMA synchronous = FULL");
      db.run("CREATE TABLE records(session INTEGER, seq INTEGER, frame BLOB)");
      const insert = db.prepare("INSERT INTO records VALUES(?, ?, ?)");
      const commit = db.transaction((from: number) => {
        for (let i = 0; i < recordsPerCommit; i++) insert.run(1, from + i, frame);
      });
      const start = performance.now();
      for (let i = 0; i < commits; i++) commit(i * recordsPerCommit);
      const result = perSecond(commits * recordsPerCommit, start);
      db.close(true);
      return result;
    });

async function runSessions(log: SessionLog, batches: number, recordsPerBatch: number): Promise<number> {
  const sessions = await Promise.all(
    Array.from({ length: 100 }, async (_, i) => {
      const key = { userId: `user-${i}`, clientId: "laptop" };
      return { id: `team/session-${i}`, key, claim: await log.claim(`team/session-${i}`, key, "epoch") };
    }),
  );
  const start = performance.now();
  await Promise.all(
    sessions.map(async ({ id, key, claim }) => {
      for (let head = 0; head < batches * recordsPerBatch; head += recordsPerBatch) {
        const records = Array.from({ length: recordsPerBatch }, (_, i) => ({
          seq: head + 1 + i,
          frame,
          payloadHash: head + i,
        }));
        const writers = [{ ...key, generation: claim.generation, lastClientSeq: head + recordsPerBatch }];
        const outcome = await log.append(id, { epoch: claim.epoch, expectedHead: head, records, writers });
        if (outcome.kind !== "appended") throw new Error(`append: ${outcome.kind}`);
      }
    }),
  );
  return perSecond(100 * batches * recordsPerBatch, start);
}

const sqlite =
  (batches: number, recordsPerBatch: number): Round =>
  () =>
    inFolder(async (folder) => {
      const log = await openSqliteLog({ path: join(folder, "baton.db"), now: Date.now });
      const result = await runSessions(log, batches, recordsPerBatch);
      await log.close();
      return result;
    });

const cases: readonly (readonly [name: string, round: Round])[] = [
  ["floor: bun:sqlite, 1 record a commit", floor(1, 4_000)],
  ["floor: bun:sqlite, 32 records a commit", floor(32, 4_000)],
  ["port, SQLite, 100 sessions, 1 record an append", sqlite(2_000, 1)],
  ["port, SQLite, 100 sessions, 8 records an append", sqlite(500, 8)],
  ["port, memory, 100 sessions, 1 record an append", () => runSessions(createMemoryLog(Date.now), 2_000, 1)],
  ["port, memory, 100 sessions, 32 records an append", () => runSessions(createMemoryLog(Date.now), 250, 32)],
];

const results = new Map<string, number[]>(cases.map(([name]) => [name, []]));
for (let i = 0; i < rounds; i++) {
  for (const [name, round] of cases) results.get(name)?.push(await round());
}
for (const [name, values] of results) {
  const sorted = values.toSorted((a, b) => a - b).map((value) => Math.round(value).toLocaleString("en"));
  console.log(`${name.padEnd(50)} ${(sorted[2] ?? "").padStart(10)} records/s  (${sorted[0]} to ${sorted[4]})`);
}
