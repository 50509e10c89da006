import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, readdirSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import { alice, fill, plain, recordsAfter, rejectsWith, writerOf } from "./log-contract.ts";
import { makeFolder } from "./sqlite-folder.ts";

const everything = Number.MAX_SAFE_INTEGER;

/** Lets the writer go on until it has told of so many acks, kills it, and tells the last acked seq of each session. */
async function killAfter(path: string, acks: number): Promise<Map<string, number>> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "crash-writer.ts"), path], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let errors = "";
  let told = 0;
  child.stderr.on("data", (chunk) => {
    errors += String(chunk);
  });
  child.stdout.on("data", (chunk) => {
    const text = String(chunk);
    output += text;
    told += text.split("\n").length - 1;
    if (told >= acks) child.kill("SIGKILL");
  });
  const [, signal] = await once(child, "close");
  assert.equal(signal, "SIGKILL", errors);
  const acked = new Map<string, number>();
  // A line that the kill cut short is not counted on: what follows the last newline is left out.
  for (const line of output.split("\n").slice(0, -1)) {
    const [session = "", seq = ""] = line.split(" ");
    acked.set(session, Number(seq));
  }
  return acked;
}

describe("SQLite log after a crash", () => {
  test("LG26 killed at any moment, every acked record is there, once, and the chain holds", async () => {
    const { path, remove } = makeFolder();
    const heads = new Map<string, number>();
    for (const acks of [1, 7, 40, 150, 333, 600, 3, 900, 77, 1_500]) {
      const acked = await killAfter(path, acks);
      const log = await openSqliteLog({ path, now: Date.now });
      for (const [session, seq] of acked) {
        const state = await log.describe(session);
        assert.ok(state !== undefined && state.head >= seq, `${session}: acked ${seq}, there is ${state?.head}`);
        assert.ok(state.head >= (heads.get(session) ?? 0));
        heads.set(session, state.head);
        const records = await log.read(session, state.first, everything, everything);
        const expected = recordsAfter(state.first - 1, state.head - state.first + 1, `${session}:`);
        assert.deepEqual(plain(records), plain(expected));
        assert.equal(
          state.bytes,
          expected.reduce((sum, { frame }) => sum + frame.length, 0),
        );
        const claim = await log.claim(session, { userId: "writer", clientId: session }, "unused");
        assert.deepEqual([claim.epoch, claim.lastClientSeq], [`epoch of ${session}`, state.head]);
      }
      assert.ok(acked.size > 0);
      // Without a fold at every second opening, so that a journal of two lives is replayed as well.
      if (acks % 2 === 0) await log.close();
      else await closeWithoutFolding(log, path);
    }
    assert.ok(
      [...heads.values()].every((head) => head > 2_000),
      "far enough that sessions were trimmed",
    );
    remove();
  });

  test("LG26 a WAL that is cut short anywhere opens to the last whole commit", async () => {
    const { path, folder, remove } = makeFolder();
    const log = await openSqliteLog({ path, now: Date.now });
    const claim = await log.claim("s", alice, "e");
    const walBytes = [statSync(`${path}-wal`).size];
    for (let head = 0; head < 40; head++) {
      const writers = [writerOf(alice, claim, head + 1)];
      await log.append("s", { epoch: "e", expectedHead: head, records: recordsAfter(head, 1), writers });
      walBytes.push(statSync(`${path}-wal`).size);
    }
    const [from = 0, to = 0] = [walBytes[0], walBytes.at(-1)];
    for (let cut = to; cut >= from; cut -= 1_777) {
      const copy = join(folder, `cut-${cut}.db`);
      copyFileSync(path, copy);
      copyFileSync(`${path}-wal`, `${copy}-wal`);
      truncateSync(`${copy}-wal`, cut);
      const whole = walBytes.findLastIndex((bytes) => bytes <= cut);
      const opened = await openSqliteLog({ path: copy, now: Date.now });
      assert.deepEqual(
        plain(await opened.read("s", 1, everything, everything)),
        plain(recordsAfter(0, whole)),
        `${cut}`,
      );
      assert.equal((await opened.claim("s", alice, "e")).lastClientSeq, whole);
      await fill(opened, "s", 1);
      await opened.close();
    }
    await log.close();
    assert.deepEqual(readdirSync(folder).includes("baton.db-wal"), false, "a closed log leaves one file");
    remove();
  });

  test("LG27 a second process on the same database is refused by name and harms nothing", async () => {
    const { path, remove } = makeFolder();
    const log = await openSqliteLog({ path, now: Date.now });
    await fill(log, "s", 3);
    const child = spawn(process.execPath, [join(import.meta.dirname, "crash-writer.ts"), path], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += String(chunk);
    });
    const [code] = await once(child, "close");
    assert.notEqual(code, 0);
    assert.match(errors, /baton\.db is in use by another relay/);
    await rejectsWith(openSqliteLog({ path, now: Date.now, lockWaitMs: 0 }), "LOG_UNAVAILABLE");
    await fill(log, "s", 3);
    assert.equal((await log.describe("s"))?.head, 6);
    assert.deepEqual(await log.list("", "", 9).then((all) => all.map(({ sessionId }) => sessionId)), ["s"]);
    await log.close();
    const next = await openSqliteLog({ path, now: Date.now, lockWaitMs: 0 });
    assert.equal((await next.describe("s"))?.head, 6);
    await next.close();
    remove();
  });
});

/** What a crash leaves, without one: the files as they are now, the log then closed and its work thrown away. */
async function closeWithoutFolding(log: Awaited<ReturnType<typeof openSqliteLog>>, path: string): Promise<void> {
  copyFileSync(path, `${path}.kept`);
  copyFileSync(`${path}-wal`, `${path}.kept-wal`);
  await log.close();
  copyFileSync(`${path}.kept`, path);
  copyFileSync(`${path}.kept-wal`, `${path}-wal`);
}
