// What a session costs in a Durable Object: rows that are written, and the time in which its object wakes. workerd on this
// machine, objects on its disk.
import process from "node:process";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { median, spread } from "../../src/cli/bench/statistics.ts";
import { missingWorkerd, Workerd } from "../../test/workerd/harness.ts";
import { formatTable, type Row } from "../row.ts";

/** One before the next snapshot is due, so that as much as can be stands behind the one from which a room folds. */
const edits = 9_999;
const wakes = 15;
const wakeGoalMs = 50;

if (missingWorkerd !== "") {
  console.error(missingWorkerd);
  process.exit(1);
}
const entry = fileURLToPath(new URL("history-worker.ts", import.meta.url));
const workerd = await Workerd.start({ entry, objects: { SESSIONS: "History", DIRECTORY: "DirectoryObject" } });

const typed = z.object({ read: z.number(), written: z.number(), databaseBytes: z.number() });
const opened = z.object({ head: z.number(), folded: z.number(), read: z.number() });

async function ask<T>(path: string, schema: z.ZodType<T>): Promise<{ readonly told: T; readonly tookMs: number }> {
  const startMs = performance.now();
  const response = await fetch(`${workerd.url}${path}`);
  const text = await response.text();
  const tookMs = performance.now() - startMs;
  if (!response.ok) throw new Error(`${response.status}: ${text}\n${workerd.output}`);
  return { told: schema.parse(JSON.parse(text)), tookMs };
}

try {
  const rows: Row[] = [];
  for (const each of [1, 8]) {
    const { told, tookMs } = await ask(`/type/typed-${each}/${edits}/${each}`, typed);
    rows.push({
      name: `rows written for 1,000 edits, ${each} an append`,
      value: (told.written / edits) * 1_000,
      unit: "rows",
      note:
        `with snapshots; ${((told.read / edits) * 1_000).toFixed(0)} rows read; ` +
        `${(told.databaseBytes / edits).toFixed(0)} B of storage an edit, ${(edits / tookMs).toFixed(1)} edits/ms`,
    });
  }
  const cold: number[] = [];
  const asked: number[] = [];
  let folded = 0;
  let read = 0;
  for (let wake = 0; wake < wakes; wake++) {
    await workerd.evict();
    await ask("/", z.object({}));
    asked.push((await ask("/", z.object({}))).tookMs);
    const { told, tookMs } = await ask("/open/typed-1", opened);
    if (told.head !== edits) throw new Error(`the session has ${told.head} records`);
    ({ folded, read } = told);
    cold.push(tookMs);
  }
  rows.push({
    name: `an object of ${edits} records wakes and folds`,
    value: median(cold),
    unit: "ms",
    goal: { atMost: wakeGoalMs },
    peer: { name: "asking an object that is awake", value: median(asked) },
    note: `${folded} records behind the snapshot, ${read} rows read; from outside, over loopback; runs ${spread(cold)}`,
  });
  console.log(formatTable(rows));
} finally {
  await workerd.dispose();
}
