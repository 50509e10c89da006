// Run by sqlite-crash.test.ts: appends to three sessions as fast as it is answered, and writes a line for each ack
// ("session seq") in one system call, until it is killed.
import { writeSync } from "node:fs";
import process from "node:process";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { recordsAfter, writerOf } from "./log-contract.ts";

const path = process.argv[2] ?? "";
const log = await openSqliteLog({ path, now: Date.now });

async function write(sessionId: string): Promise<void> {
  const key = { userId: "writer", clientId: sessionId };
  const claim = await log.claim(sessionId, key, `epoch of ${sessionId}`);
  let { head } = claim;
  if (claim.lastClientSeq !== head) throw new Error("last number and head differ");
  for (let count = 1; ; count = (count % 9) + 1) {
    const records = recordsAfter(head, count, `${sessionId}:`);
    const writers = [writerOf(key, claim, head + count)];
    const outcome = await log.append(sessionId, { epoch: claim.epoch, expectedHead: head, records, writers });
    if (outcome.kind !== "appended") throw new Error(outcome.kind);
    head += count;
    writeSync(1, `${sessionId} ${head}\n`);
    if (head % 500 < count) {
      await log.putSnapshot(sessionId, claim.epoch, { seq: head, bytes: new Uint8Array(5_000) });
      if (head > 2_000) await log.trim(sessionId, claim.epoch, head);
    }
  }
}

await Promise.all(["a", "b", "c"].map(write));
