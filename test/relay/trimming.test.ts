import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { describe, test } from "node:test";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { loadState } from "../../src/relay/load.ts";
import { textContent } from "../../src/session/text.ts";
import { makeFolder } from "../durable/sqlite-folder.ts";
import { edit, startRelay } from "./harness.ts";

const writers = 4;
const edits = 400;
const limits = { snapshotRecords: 50, logRecords: 200, messagesPerSecond: 1e6, messagesBurst: 1e6 };

describe("a log that is trimmed", () => {
  test("BK13 while several type and somebody reads, it stays within its bounds, and folds to what they typed", async () => {
    const { path, folder } = makeFolder();
    const log = await openSqliteLog({ path, now: Date.now });
    const relay = await startRelay({ log, limits });
    try {
      const reader = await relay.join({ as: "rita", clientId: "r" });
      await reader.take("welcome");
      let most = 0;
      const type = async (n: number) => {
        const stream = await relay.join({ as: `user-${n}`, clientId: "c" });
        for (let at = 0; at < edits; at++) {
          stream.send(edit(`${n}.ts`, at, 0, 0, String(at % 10)), { clientSeq: BigInt(at + 1) });
          await stream.take("ack");
          const { head = 0, first = 1 } = (await log.describe("demo")) ?? {};
          most = Math.max(most, head - first + 1);
        }
      };
      await Promise.all(Array.from({ length: writers }, (_, n) => type(n)));
      const total = writers * edits;
      const kept = await log.describe("demo");
      assert.ok(kept !== undefined && kept.head === total && kept.first > 1, `${kept?.head} ${kept?.first}`);
      // What the newest two snapshots need, and what comes while they are written.
      assert.ok(most <= limits.logRecords + 4 * limits.snapshotRecords, `${most} records at once`);
      for (let seq = 1n; seq <= BigInt(total); seq++) assert.equal((await reader.takeMessage("edit")).seq, seq);
      const state = await loadState(log, "demo", kept, kept.head, { ...relay.relay.limits });
      const files = [...state.files.values()];
      assert.equal(files.length, writers);
      for (const { text } of files) assert.equal(textContent(text).length, edits);
    } finally {
      await relay.stop();
      await log.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
