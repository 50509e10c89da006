import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { Claim, SessionLog } from "../../src/durable/session-log.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { alice, bob, bytes, fill, plain, recordsAfter, rejectsWith, writerOf } from "../durable/log-contract.ts";
import { createRandom } from "../support/random.ts";
import { askWorker } from "./ask-worker.ts";
import { missingWorkerd, Workerd } from "./harness.ts";
import { createBridgedLog } from "./log-bridge.ts";

const entry = fileURLToPath(new URL("log-worker.ts", import.meta.url));
const note = missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`;
const everything = Number.MAX_SAFE_INTEGER;
const rowsSchema = z.object({ read: z.number(), written: z.number(), tables: z.number() });

describe(`an object's log in workerd${note}`, { skip: missingWorkerd !== "" }, () => {
  let workerd: Workerd;
  before(async () => {
    workerd = await Workerd.start({ entry, objects: { SESSIONS: "StoredSession", DIRECTORY: "DirectoryObject" } });
  });
  after(() => workerd.dispose());

  let stores = 0;
  function openStore() {
    stores += 1;
    const store = `own-${stores}`;
    const ask = (method: string, ...args: unknown[]) => askWorker(workerd.url, store, method, args);
    const rows = async (sessionId: string) => rowsSchema.parse(await ask("rows", sessionId));
    return { log: createBridgedLog(() => workerd.url, store), ask, rows };
  }

  const batchOf = (claim: Claim, head: number, count: number, mark = "m") => ({
    epoch: claim.epoch,
    expectedHead: head,
    records: recordsAfter(head, count, mark),
    writers: [writerOf(alice, claim, head + count)],
  });

  test("DB1 an append is one row as the platform counts them, a claim one, a new client's two", async () => {
    const { log, rows } = openStore();
    const claim = await log.claim("s", alice, "e");
    await rows("s");
    for (const count of [1, 1, 40, 3]) {
      const { head = 0 } = (await log.describe("s")) ?? {};
      assert.deepEqual(await log.append("s", batchOf(claim, head, count)), { kind: "appended" });
      assert.equal((await rows("s")).written, 1);
    }
    await log.claim("s", alice, "e");
    assert.equal((await rows("s")).written, 1);
    await log.claim("s", bob, "e");
    assert.equal((await rows("s")).written, 2);
    await log.putSnapshot("s", "e", { seq: 40, bytes: bytes("x") });
    assert.equal((await rows("s")).written, 1);
  });

  test("DB4 an object that is only asked writes nothing, nor is anything left of a session that was deleted", async () => {
    const { log, rows } = openStore();
    assert.equal(await log.describe("s"), undefined);
    assert.deepEqual(await log.read("s", 1, 9, 9), []);
    assert.equal(await log.latestSnapshot("s"), undefined);
    assert.equal(await log.delete("s"), "");
    assert.equal(await log.renewEpoch("s", "", "e"), "");
    const epoch = { epoch: "e", expectedHead: 0, records: recordsAfter(0, 1), writers: [] };
    assert.deepEqual(await log.append("s", epoch), { kind: "epoch", epoch: "" });
    const { written, tables } = await rows("s");
    assert.deepEqual([written, tables], [0, 0]);
    await fill(log, "s", 3);
    assert.ok((await rows("s")).tables > 0);
    await log.delete("s");
    assert.equal((await rows("s")).tables, 0);
    await workerd.restart();
    assert.equal((await rows("s")).tables, 0);
    assert.equal(await log.describe("s"), undefined);
  });

  test("DB13 an object that wakes reads as few rows of a long log as of a short one", async () => {
    const { log, rows } = openStore();
    const wake = async (sessionId: string) => {
      await workerd.evict();
      await log.describe(sessionId);
      return (await rows(sessionId)).read;
    };
    await fill(log, "short", 1);
    const short = await wake("short");
    const claim = await log.claim("long", alice, "e");
    for (let head = 0; head < 10_000; head += 100) await log.append("long", batchOf(claim, head, 100));
    const long = await wake("long");
    assert.equal((await log.describe("long"))?.head, 10_000);
    assert.equal(long, short);
    assert.ok(short > 0 && short < 20, `${short} rows`);
  });

  test("DB12 an instance that is ended in the middle of a request writes nothing more and answers nobody", async () => {
    const { log, ask } = openStore();
    const claim = await fill(log, "s", 2);
    const zombie = ask("appendLater", "s", batchOf(claim, 2, 1, "zombie "), 300);
    const ended = assert.rejects(zombie);
    // The request has begun when the object has answered another one behind it.
    await log.describe("s");
    await workerd.abortObjects();
    await ended;
    assert.deepEqual(await log.append("s", batchOf(claim, 2, 1)), { kind: "appended" });
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 3)));
  });

  test("DB2 appends that reach an object at once get their places one after the other", async () => {
    const { log } = openStore();
    const claim = await log.claim("s", alice, "e");
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, i) => log.append("s", batchOf(claim, 0, 1, `${i} `))),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === "appended").length, 1);
    assert.equal((await log.describe("s"))?.head, 1);
  });

  test("DB3 killed, aborted and evicted at any moment: what was acked is there, once, in order", async () => {
    const { log } = openStore();
    const random = createRandom(20261125);
    const model = createMemoryLog(() => 0);
    const ids = ["a", "b"];
    const claims = new Map<string, Claim>();
    for (const id of ids) await model.claim(id, alice, "e");
    let kills = 0;
    for (let round = 0; round < 8; round++) {
      for (const id of ids) claims.set(id, await patiently(() => log.claim(id, alice, "e")));
      let stop = false;
      const write = async (id: string) => {
        const claim = claims.get(id);
        assert.ok(claim !== undefined);
        for (let n = 0; n < 40 && !stop; n++) await appendSettled(log, model, id, claim, 1 + Math.floor(random() * 5));
      };
      const writing = Promise.all(ids.map(write));
      await new Promise((resolve) => setTimeout(resolve, 5 + random() * 40));
      const way = round % 4;
      if (way < 2) await workerd.kill();
      else if (way === 2) await workerd.abortObjects();
      else await workerd.evict();
      if (way < 2) {
        kills += 1;
        await workerd.start();
      }
      stop = true;
      await writing;
      for (const id of ids) {
        const records = await log.read(id, 1, everything, everything);
        assert.deepEqual(plain(records), plain(await model.read(id, 1, everything, everything)));
        const { head } = (await log.describe(id)) ?? {};
        assert.equal((await log.claim(id, alice, "e")).lastClientSeq, head);
      }
    }
    assert.equal(kills, 4);
    assert.ok(((await model.describe("a"))?.head ?? 0) > 20, "something was written");
  });

  test("DB3 two objects are two: what ends one leaves the other as it is", async () => {
    const { log } = openStore();
    await fill(log, "one", 3);
    await fill(log, "two", 5);
    await log.delete("one");
    await workerd.evict();
    assert.equal(await log.describe("one"), undefined);
    assert.equal((await log.read("two", 1, everything, everything)).length, 5);
    assert.equal(await log.delete("two", 0), "");
  });

  test("DB5 an object takes a batch and a snapshot that no row holds, and gives them back", async () => {
    const { log } = openStore();
    const claim = await log.claim("s", alice, "e");
    const records = [1, 2, 3, 4, 5].map((seq) => ({ seq, frame: new Uint8Array(800_000).fill(seq), payloadHash: seq }));
    const writers = [writerOf(alice, claim, 5)];
    assert.deepEqual(await log.append("s", { epoch: "e", expectedHead: 0, records, writers }), { kind: "appended" });
    const snapshot = { seq: 5, bytes: new Uint8Array(5_000_000).map((_, i) => i % 253) };
    await log.putSnapshot("s", "e", snapshot);
    await workerd.evict();
    const read = await log.read("s", 1, everything, everything);
    assert.ok(read.every(({ frame }, i) => Buffer.compare(frame, records[i]?.frame ?? bytes("")) === 0));
    assert.equal(read.length, 5);
    const found = await log.latestSnapshot("s");
    assert.ok(found !== undefined && Buffer.compare(found.bytes, snapshot.bytes) === 0);
    await rejectsWith(
      log.append("s", {
        epoch: "e",
        expectedHead: 5,
        records: [{ seq: 6, frame: new Uint8Array(2_000_000), payloadHash: 6 }],
        writers: [writerOf(alice, claim, 6)],
      }),
      "LOG_FULL",
    );
  });
});

/** Until the worker answers again. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof BatonError) || error.reason !== "LOG_UNAVAILABLE") throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Appends as a caller does who settles what it did not hear of: the same batch again, until it is known to be in. */
async function appendSettled(log: SessionLog, model: SessionLog, id: string, claim: Claim, count: number) {
  const { head = 0 } = (await model.describe(id)) ?? {};
  const batch = {
    epoch: "e",
    expectedHead: head,
    records: recordsAfter(head, count, `${id} `),
    writers: [writerOf(alice, claim, head + count)],
  };
  const outcome = await patiently(() => log.append(id, batch));
  // Only this caller writes, so what stands there is its own, from an attempt whose answer was lost.
  if (outcome.kind === "conflict") assert.deepEqual(plain(outcome.records), plain(batch.records));
  else assert.equal(outcome.kind, "appended");
  const { generation } = await model.claim(id, alice, "e");
  await model.append(id, { ...batch, writers: [{ ...alice, generation, lastClientSeq: head + count }] });
}
