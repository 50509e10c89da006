import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { loadState } from "../../src/relay/load.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { fill, rejectsWith } from "../durable/log-contract.ts";

test("a log whose frames are no records of their places is damaged; a fold of it comes to an end", async () => {
  const log = createMemoryLog(Date.now);
  await fill(log, "s", 3);
  const kept = await log.describe("s");
  assert.ok(kept !== undefined);
  await rejectsWith(loadState(log, "s", kept, kept.head, defaultLimits), "LOG_DAMAGED");
});
