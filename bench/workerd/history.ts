import { fileURLToPath } from "node:url";
import { z } from "zod";
import { median, spread } from "../../src/cli/bench/statistics.ts";
import { Workerd } from "../../test/workerd/harness.ts";
import type { Row } from "../row.ts";

/** One before the next snapshot is due, so that as much as can be stands behind the one from which a room folds. */
const edits = 9_999;
const wakes = 15;
const wakeGoalMs = 50;

const typed = z.object({ read: z.number(), written: z.number(), databaseBytes: z.number() });
const opened = z.object({ head: z.number(), folded: z.number(), read: z.number() });

async function ask<T>(
  workerd: Workerd,
  path: string,
  schema: z.ZodType<T>,
): Promise<{ readonly told: T; readonly tookMs: number }> {
  const startMs = performance.now();
  const response = await fetch(`${workerd.url}${path}`);
  const text = await response.text();
  const tookMs = performance.now() - startMs;
  if (!response.ok) throw new Error(`${response.status}: ${text}\n${workerd.output}`);
  return { told: schema.parse(JSON.parse(text)), tookMs };
}

/** Rows that are written for what is typed, and how long an object takes to come into memory. */
export async function measureHistory(): Promise<readonly Row[]> {
  const entry = fileURLToPath(new URL("history-worker.ts", import.meta.url));
  const workerd = await Workerd.start({ entry, objects: { SESSIONS: "History", DIRECTORY: "DirectoryObject" } });
  try {
    const rows: Row[] = [];
    for (const each of [1, 8]) {
      const { told, tookMs } = await ask(workerd, `/type/typed-${each}/${edits}/${each}`, typed);
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
      await ask(workerd, "/", z.object({}));
      asked.push((await ask(workerd, "/", z.object({}))).tookMs);
      const { told, tookMs } = await ask(workerd, "/open/typed-1", opened);
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
    return rows;
  } finally {
    await workerd.dispose();
  }
}
