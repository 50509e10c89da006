import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import type { BatchWriter, Claim, ClientKey, LogRecord, SessionLog } from "../../src/durable/session-log.ts";
import { BatonError, type Reason } from "../../src/session/reasons.ts";
import type { Revocation } from "../../src/session/revocation.ts";

export interface OpenedLog {
  readonly log: SessionLog;
  /** Closes the log and opens what it kept; absent where an engine keeps nothing. */
  readonly reopen?: () => Promise<SessionLog>;
  readonly dispose: () => Promise<void>;
}

export const alice: ClientKey = { userId: "alice", clientId: "laptop" };
export const bob: ClientKey = { userId: "bob", clientId: "phone" };

export const bytes = (text: string) => new TextEncoder().encode(text);

/** The plain values of records, whatever kind of byte array or object an engine gives. */
export const plain = (records: readonly LogRecord[]) =>
  records.map(({ seq, frame, payloadHash }) => ({ seq, frame: [...frame], payloadHash }));

/** Records after `head` whose frames tell their seq and a mark. */
export function recordsAfter(head: number, count: number, mark = "m"): LogRecord[] {
  return Array.from({ length: count }, (_, i) => {
    const seq = head + 1 + i;
    return { seq, frame: bytes(`${mark}${seq}`), payloadHash: 2 ** 53 - 1 - seq };
  });
}

export const writerOf = (key: ClientKey, claim: Claim, lastClientSeq: number): BatchWriter => ({
  ...key,
  generation: claim.generation,
  lastClientSeq,
});

export function rejectsWith(promise: Promise<unknown>, reason: Reason): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert.ok(error instanceof BatonError, String(error));
    assert.equal(error.reason, reason);
    return true;
  });
}

/** Of a session that `fill` makes. */
export const epochOf = (sessionId: string) => `epoch of ${sessionId}`;

/** Appends `count` records after the head of a session that is made where there is none. */
export async function fill(log: SessionLog, sessionId: string, count: number, key = alice): Promise<Claim> {
  const claim = await log.claim(sessionId, key, epochOf(sessionId));
  const outcome = await log.append(sessionId, {
    epoch: claim.epoch,
    expectedHead: claim.head,
    records: recordsAfter(claim.head, count),
    writers: [writerOf(key, claim, claim.lastClientSeq + count)],
  });
  assert.deepEqual(outcome, { kind: "appended" });
  return claim;
}

const everything = Number.MAX_SAFE_INTEGER;

/** What every engine behind the port `SessionLog` keeps. */
export function describeSessionLog(name: string, open: () => Promise<OpenedLog>): void {
  const opened: OpenedLog[] = [];
  const openLog = async () => {
    const one = await open();
    opened.push(one);
    return one;
  };
  const freshLog = async () => (await openLog()).log;

  describe(`session log: ${name}`, () => {
    afterEach(async () => {
      for (const { dispose } of opened.splice(0)) await dispose();
    });

    test("LG1 records are read in the order and with the content in which they were appended", async () => {
      const log = await freshLog();
      const claim = await log.claim("s", alice, "e");
      const all: LogRecord[] = [];
      for (const count of [1, 3, 200, 1, 70]) {
        const records = recordsAfter(all.length, count);
        const writers = [writerOf(alice, claim, all.length + count)];
        const outcome = await log.append("s", { epoch: "e", expectedHead: all.length, records, writers });
        assert.deepEqual(outcome, { kind: "appended" });
        all.push(...records);
      }
      assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(all));
    });

    test("LG1 frames hold any bytes, none at all, and 256 KiB", async () => {
      const log = await freshLog();
      const claim = await log.claim("s", alice, "e");
      const frames = [
        Uint8Array.from({ length: 256 }, (_, i) => i),
        new Uint8Array(0),
        new Uint8Array(256 * 1024).fill(255),
        new Uint8Array([0, 0, 0]).subarray(1, 2),
      ];
      const records = frames.map((frame, i) => ({ seq: i + 1, frame, payloadHash: i }));
      await log.append("s", { epoch: "e", expectedHead: 0, records, writers: [writerOf(alice, claim, 4)] });
      const read = await log.read("s", 1, 4, everything);
      assert.deepEqual(
        read.map(({ frame }) => Buffer.from(frame).toString("hex")),
        frames.map((frame) => Buffer.from(frame).toString("hex")),
      );
    });

    test("LG2 an append at another head than the present one is a conflict and tells what stands there", async () => {
      const log = await freshLog();
      const claim = await fill(log, "s", 5);
      const writers = [writerOf(alice, claim, 6)];
      const behind = await log.append("s", {
        epoch: claim.epoch,
        expectedHead: 2,
        records: recordsAfter(2, 1),
        writers,
      });
      assert.equal(behind.kind, "conflict");
      assert.deepEqual(behind.kind === "conflict" && plain(behind.records), plain(recordsAfter(2, 3)));
      const ahead = await log.append("s", {
        epoch: claim.epoch,
        expectedHead: 9,
        records: recordsAfter(9, 1),
        writers,
      });
      assert.deepEqual(ahead, { kind: "conflict", records: [] });
      const anew = await log.append("s", { epoch: claim.epoch, expectedHead: 0, records: recordsAfter(0, 1), writers });
      assert.deepEqual(anew.kind === "conflict" && plain(anew.records), plain(recordsAfter(0, 5)));
    });

    test("LG2 the answer to a conflict carries about 1 MiB, from the first record on", async () => {
      const log = await freshLog();
      const claim = await log.claim("s", alice, "e");
      for (let head = 0; head < 12; head += 4) {
        const records = [1, 2, 3, 4].map((i) => ({ seq: head + i, frame: new Uint8Array(200_000), payloadHash: 0 }));
        await log.append("s", { epoch: "e", expectedHead: head, records, writers: [writerOf(alice, claim, head + 4)] });
      }
      const outcome = await log.append("s", { epoch: "e", expectedHead: 1, records: recordsAfter(1, 1), writers: [] });
      assert.deepEqual(
        outcome.kind === "conflict" && outcome.records.map(({ seq }) => seq),
        [2, 3, 4, 5, 6],
        "five of 200,000 bytes fit into 1 MiB",
      );
    });

    test("LG2 a conflict from before the trim carries nothing rather than a hole", async () => {
      const log = await freshLog();
      const claim = await fill(log, "s", 5);
      await log.putSnapshot("s", epochOf("s"), { seq: 3, bytes: bytes("three") });
      await log.trim("s", epochOf("s"), 3);
      const batch = { epoch: claim.epoch, expectedHead: 2, records: recordsAfter(2, 1), writers: [] };
      assert.deepEqual(await log.append("s", batch), { kind: "conflict", records: [] });
      const fromTrim = await log.append("s", { ...batch, expectedHead: 3, records: recordsAfter(3, 1) });
      assert.deepEqual(fromTrim.kind === "conflict" && plain(fromTrim.records), plain(recordsAfter(3, 2)));
    });

    test("LG3 an append that fails leaves no trace", async () => {
      const log = await freshLog();
      const old = await log.claim("s", alice, "e");
      const present = await fill(log, "s", 3);
      const before = await log.describe("s");
      const batches = [
        { epoch: "e", expectedHead: 1, records: recordsAfter(1, 9, "x"), writers: [writerOf(alice, present, 12)] },
        { epoch: "f", expectedHead: 3, records: recordsAfter(3, 9, "x"), writers: [writerOf(alice, present, 12)] },
        { epoch: "e", expectedHead: 3, records: recordsAfter(3, 9, "x"), writers: [writerOf(alice, old, 12)] },
      ];
      const kinds = [];
      for (const batch of batches) kinds.push((await log.append("s", batch)).kind);
      assert.deepEqual(kinds, ["conflict", "epoch", "superseded"]);
      assert.deepEqual(await log.describe("s"), before);
      assert.deepEqual(plain(await log.read("s", 1, everything, everything)), plain(recordsAfter(0, 3)));
      assert.equal((await log.claim("s", alice, "e")).lastClientSeq, 3);
    });

    test("LG3 a batch with one superseded writer writes nothing of the others", async () => {
      const log = await freshLog();
      const claimOfAlice = await log.claim("s", alice, "e");
      const oldOfBob = await log.claim("s", bob, "e");
      await log.claim("s", bob, "e");
      const outcome = await log.append("s", {
        epoch: "e",
        expectedHead: 0,
        records: recordsAfter(0, 2),
        writers: [writerOf(alice, claimOfAlice, 1), writerOf(bob, oldOfBob, 1)],
      });
      assert.deepEqual(outcome, { kind: "superseded", clients: [bob] });
      assert.equal((await log.describe("s"))?.head, 0);
      assert.equal((await log.claim("s", alice, "e")).lastClientSeq, 0);
    });

    test("LG3 batches that cannot be meant are refused", async () => {
      const log = await freshLog();
      const { epoch } = await fill(log, "s", 2);
      await rejectsWith(log.append("s", { epoch, expectedHead: 2, records: [], writers: [] }), "INTERNAL");
      const gap = [...recordsAfter(2, 1), ...recordsAfter(4, 1)];
      await rejectsWith(log.append("s", { epoch, expectedHead: 2, records: gap, writers: [] }), "INTERNAL");
      assert.equal((await log.describe("s"))?.head, 2);
    });

    test("LG4 a client's generations strictly increase, whatever others claim", async () => {
      const log = await freshLog();
      const generations: number[] = [];
      for (let i = 0; i < 5; i++) {
        generations.push((await log.claim("s", alice, "e")).generation);
        await log.claim("s", bob, "e");
      }
      assert.ok(
        generations.every((generation, i) => generation > (generations[i - 1] ?? 0)),
        String(generations),
      );
    });

    test("LG4 clients of the same name and different users, or the other way round, are different clients", async () => {
      const log = await freshLog();
      const keys = [
        { userId: "a", clientId: "1" },
        { userId: "b", clientId: "1" },
        { userId: "a", clientId: "2" },
        { userId: "", clientId: "1a" },
        { userId: "1a", clientId: "" },
      ];
      let head = 0;
      for (const key of keys) {
        const claim = await log.claim("s", key, "e");
        assert.equal(claim.lastClientSeq, 0);
        head += 1;
        const records = recordsAfter(head - 1, 1);
        await log.append("s", {
          epoch: "e",
          expectedHead: head - 1,
          records,
          writers: [writerOf(key, claim, 10 * head)],
        });
      }
      const last = [];
      for (const key of keys) last.push((await log.claim("s", key, "e")).lastClientSeq);
      assert.deepEqual(last, [10, 20, 30, 40, 50]);
    });

    test("LG4 a writer that never claimed is superseded", async () => {
      const log = await freshLog();
      await log.claim("s", alice, "e");
      const writers = [{ ...bob, generation: 1, lastClientSeq: 1 }];
      const outcome = await log.append("s", { epoch: "e", expectedHead: 0, records: recordsAfter(0, 1), writers });
      assert.deepEqual(outcome, { kind: "superseded", clients: [bob] });
    });

    test("LG5 the first claim makes the session with its epoch; later ones get that epoch", async () => {
      const log = await freshLog();
      assert.equal(await log.describe("s"), undefined);
      const [first, second] = await Promise.all([log.claim("s", alice, "one"), log.claim("s", bob, "two")]);
      assert.equal(second.epoch, first.epoch);
      assert.ok(["one", "two"].includes(first.epoch));
      assert.equal((await log.claim("s", alice, "three")).epoch, first.epoch);
      assert.deepEqual([first.head, first.lastClientSeq], [0, 0]);
      const state = await log.describe("s");
      assert.deepEqual([state?.epoch, state?.head, state?.first, state?.bytes], [first.epoch, 0, 1, 0]);
    });

    test("LG6 an append under another epoch is told the present one, one to no session the empty one", async () => {
      const log = await freshLog();
      const claim = await fill(log, "s", 1);
      const writers = [writerOf(alice, claim, 2)];
      const batch = { epoch: "another", expectedHead: 1, records: recordsAfter(1, 1), writers };
      assert.deepEqual(await log.append("s", batch), { kind: "epoch", epoch: claim.epoch });
      assert.deepEqual(await log.append("nowhere", batch), { kind: "epoch", epoch: "" });
      await log.delete("s");
      assert.deepEqual(await log.append("s", { ...batch, epoch: claim.epoch }), { kind: "epoch", epoch: "" });
      assert.equal(await log.describe("s"), undefined);
    });

    test("LG6 of several reasons to refuse the epoch comes first, then the conflict", async () => {
      const log = await freshLog();
      const old = await log.claim("s", alice, "e");
      await fill(log, "s", 1);
      const batch = { expectedHead: 0, records: recordsAfter(0, 1), writers: [writerOf(alice, old, 1)] };
      assert.equal((await log.append("s", { ...batch, epoch: "f" })).kind, "epoch");
      assert.equal((await log.append("s", { ...batch, epoch: "e" })).kind, "conflict");
    });

    test("LG7 a range is read from its first to its last record, as far as there are any", async () => {
      const log = await freshLog();
      await fill(log, "s", 150);
      const seqs = async (from: number, to: number) =>
        (await log.read("s", from, to, everything)).map(({ seq }) => seq);
      assert.deepEqual(await seqs(1, 3), [1, 2, 3]);
      assert.deepEqual(await seqs(70, 70), [70]);
      assert.deepEqual(await seqs(149, 500), [149, 150]);
      assert.deepEqual(await seqs(151, 500), []);
      assert.deepEqual(await seqs(5, 4), []);
      assert.deepEqual(await log.read("nowhere", 1, 10, everything), []);
    });

    test("MI3 a read for one epoch tells nothing of another history, or of none", async () => {
      const log = await freshLog();
      await fill(log, "s", 3);
      const epoch = (await log.describe("s"))?.epoch ?? "";
      assert.deepEqual(
        (await log.read("s", 2, everything, everything, epoch)).map(({ seq }) => seq),
        [2, 3],
      );
      await rejectsWith(log.read("s", 1, everything, everything, "another"), "EPOCH_CHANGED");
      await log.delete("s");
      await rejectsWith(log.read("s", 1, everything, everything, epoch), "EPOCH_CHANGED");
      await log.claim("s", alice, "the next");
      await fill(log, "s", 5);
      await rejectsWith(log.read("s", 4, everything, everything, epoch), "EPOCH_CHANGED");
    });

    test("LG7 a read takes at most maxBytes, but one record where there is one", async () => {
      const log = await freshLog();
      const claim = await log.claim("s", alice, "e");
      const records = [1, 2, 3, 4].map((seq) => ({ seq, frame: new Uint8Array(seq === 1 ? 0 : 100), payloadHash: 0 }));
      await log.append("s", { epoch: "e", expectedHead: 0, records, writers: [writerOf(alice, claim, 4)] });
      const count = async (from: number, maxBytes: number) => (await log.read("s", from, everything, maxBytes)).length;
      assert.deepEqual([await count(1, 200), await count(1, 199), await count(1, 10)], [3, 2, 1]);
      assert.deepEqual([await count(2, 0), await count(3, 1), await count(3, 200)], [1, 1, 2]);
    });

    test("LG8 a log is trimmed only where a snapshot is kept, and what is left reads on", async () => {
      const log = await freshLog();
      await fill(log, "s", 200);
      await log.putSnapshot("s", epochOf("s"), { seq: 50, bytes: bytes("fifty") });
      await log.putSnapshot("s", epochOf("s"), { seq: 100, bytes: bytes("hundred") });
      const before = await log.describe("s");
      await log.trim("s", epochOf("s"), 99);
      await log.trim("s", epochOf("s"), 200);
      assert.deepEqual(await log.describe("s"), before);

      await log.trim("s", epochOf("s"), 100);
      const kept = recordsAfter(100, 100);
      const state = await log.describe("s");
      assert.deepEqual(
        [state?.head, state?.first, state?.bytes],
        [200, 101, kept.reduce((sum, { frame }) => sum + frame.length, 0)],
      );
      assert.deepEqual(plain(await log.read("s", 101, everything, everything)), plain(kept));
      for (const from of [0, 1, 100]) await rejectsWith(log.read("s", from, 200, everything), "SEQ_OUT_OF_RANGE");
      assert.equal(await log.latestSnapshot("s", 99), undefined);
      assert.deepEqual([...((await log.latestSnapshot("s"))?.bytes ?? [])], [...bytes("hundred")]);

      await log.trim("s", epochOf("s"), 50);
      assert.equal((await log.describe("s"))?.first, 101);
    });

    test("LG8 a log trimmed to its end goes on, and its chain holds", async () => {
      const { log, reopen } = await openLog();
      await fill(log, "s", 5);
      await log.putSnapshot("s", epochOf("s"), { seq: 5, bytes: bytes("five") });
      await log.trim("s", epochOf("s"), 5);
      const trimmed = await log.describe("s");
      assert.deepEqual([trimmed?.head, trimmed?.first, trimmed?.bytes], [5, 6, 0]);
      assert.deepEqual(await log.read("s", 6, everything, everything), []);
      await fill(log, "s", 100);
      const kept = reopen === undefined ? log : await reopen();
      assert.deepEqual(plain(await kept.read("s", 6, everything, everything)), plain(recordsAfter(5, 100)));
      await kept.putSnapshot("s", epochOf("s"), { seq: 77, bytes: bytes("77") });
      await kept.trim("s", epochOf("s"), 77);
      assert.deepEqual(plain(await kept.read("s", 78, everything, everything)), plain(recordsAfter(77, 28)));
    });

    test("LG9 the newest snapshot at or before a seq is found; the first one at a seq stays", async () => {
      const log = await freshLog();
      await fill(log, "s", 30);
      for (const seq of [20, 10, 30]) await log.putSnapshot("s", epochOf("s"), { seq, bytes: bytes(`at ${seq}`) });
      await log.putSnapshot("s", epochOf("s"), { seq: 20, bytes: bytes("another") });
      const at = async (atMost?: number) => {
        const snapshot = await log.latestSnapshot("s", atMost);
        return snapshot && `${snapshot.seq}: ${new TextDecoder().decode(snapshot.bytes)}`;
      };
      assert.deepEqual(
        [await at(), await at(30), await at(29), await at(20), await at(10), await at(9)],
        ["30: at 30", "30: at 30", "20: at 20", "20: at 20", "10: at 10", undefined],
      );
    });

    test("LG9 a snapshot that nothing could be folded onto is ignored", async () => {
      const log = await freshLog();
      await log.putSnapshot("nowhere", epochOf("nowhere"), { seq: 1, bytes: bytes("x") });
      assert.equal(await log.describe("nowhere"), undefined);
      assert.equal(await log.latestSnapshot("nowhere"), undefined);
      await fill(log, "s", 10);
      await log.putSnapshot("s", epochOf("s"), { seq: 11, bytes: bytes("beyond the head") });
      assert.equal(await log.latestSnapshot("s"), undefined);
      await log.putSnapshot("s", epochOf("s"), { seq: 8, bytes: bytes("eight") });
      await log.trim("s", epochOf("s"), 8);
      await log.putSnapshot("s", epochOf("s"), { seq: 7, bytes: bytes("before the trim") });
      assert.equal(await log.latestSnapshot("s", 7), undefined);
      await log.putSnapshot("s", epochOf("s"), { seq: 9, bytes: bytes("nine") });
      assert.equal((await log.latestSnapshot("s"))?.seq, 9);
    });

    test("LG9 a snapshot that is dropped is not found; one that a trimmed log is folded onto stays", async () => {
      const log = await freshLog();
      await fill(log, "s", 30);
      for (const seq of [10, 20, 30]) await log.putSnapshot("s", epochOf("s"), { seq, bytes: bytes(`at ${seq}`) });
      await log.dropSnapshot("s", epochOf("s"), 20);
      await log.dropSnapshot("s", epochOf("s"), 7);
      await log.dropSnapshot("nowhere", epochOf("nowhere"), 10);
      assert.equal((await log.latestSnapshot("s", 29))?.seq, 10);
      await log.trim("s", epochOf("s"), 10);
      await log.dropSnapshot("s", epochOf("s"), 10);
      assert.equal((await log.latestSnapshot("s", 29))?.seq, 10);
    });

    test("LG10 an epoch is renewed once, and the log goes on under it", async () => {
      const log = await freshLog();
      const claim = await fill(log, "s", 2);
      const [one, two] = await Promise.all([
        log.renewEpoch("s", claim.epoch, "new 1"),
        log.renewEpoch("s", claim.epoch, "new 2"),
      ]);
      assert.equal(one, two);
      assert.equal(await log.renewEpoch("s", claim.epoch, "new 3"), one);
      assert.equal(await log.renewEpoch("nowhere", "", "new"), "");
      assert.equal((await log.describe("s"))?.epoch, one);
      const writers = [writerOf(alice, claim, 3)];
      const batch = { expectedHead: 2, records: recordsAfter(2, 1), writers };
      assert.deepEqual(await log.append("s", { ...batch, epoch: claim.epoch }), { kind: "epoch", epoch: one });
      assert.deepEqual(await log.append("s", { ...batch, epoch: one }), { kind: "appended" });
    });

    test("LG11 a deleted session begins anew: new epoch, empty log, and no old writer comes through", async () => {
      const log = await freshLog();
      const old = await fill(log, "s", 5);
      await log.putSnapshot("s", epochOf("s"), { seq: 5, bytes: bytes("old") });
      await log.delete("s");
      await log.delete("s");
      assert.deepEqual(await log.list("", "", 10), []);
      // As the first claim of both, it would have the same generation if they were counted by session.
      const anew = await log.claim("s", alice, "new epoch");
      assert.deepEqual([anew.epoch, anew.head, anew.lastClientSeq], ["new epoch", 0, 0]);
      assert.equal(await log.latestSnapshot("s"), undefined);
      assert.deepEqual(await log.read("s", 1, 9, everything), []);

      const records = recordsAfter(0, 1);
      const writers = [writerOf(alice, old, 6)];
      const underOld = await log.append("s", { epoch: old.epoch, expectedHead: 0, records, writers });
      assert.deepEqual(underOld, { kind: "epoch", epoch: "new epoch" });
      const underNew = await log.append("s", { epoch: "new epoch", expectedHead: 0, records, writers });
      assert.deepEqual(underNew, { kind: "superseded", clients: [alice] });
    });

    test("LG12 sessions are listed by prefix, in the order of their ids, page by page", async () => {
      const log = await freshLog();
      const ids = ["team-a/z", "team-a/b", "team-b/a", "team-a", "zoo", "team-a/B", "Team"];
      for (const [i, id] of ids.entries()) await fill(log, id, i + 1);
      const list = async (prefix: string, after: string, limit: number) =>
        (await log.list(prefix, after, limit)).map(({ sessionId }) => sessionId);
      assert.deepEqual(await list("", "", 100), [...ids].sort());
      assert.deepEqual(await list("team-a/", "", 100), ["team-a/B", "team-a/b", "team-a/z"]);
      assert.deepEqual(await list("team", "team-a/B", 2), ["team-a/b", "team-a/z"]);
      assert.deepEqual(await list("none", "", 100), []);
      const [listing] = await log.list("zoo", "", 1);
      assert.deepEqual(listing, { sessionId: "zoo", ...(await log.describe("zoo")) });
      assert.equal(listing?.head, 5);
    });

    test("LG13 a secret is the first one proposed", async () => {
      const { log, reopen } = await openLog();
      const proposals = [bytes("first"), bytes("second"), bytes("third")];
      const kept = await Promise.all(proposals.map((proposed) => log.secret("resume", proposed)));
      assert.equal(new Set(kept.map(String)).size, 1);
      assert.deepEqual([...(await log.secret("other", bytes("own")))], [...bytes("own")]);
      const later = reopen === undefined ? log : await reopen();
      assert.deepEqual([...(await later.secret("resume", bytes("late")))], [...(kept[0] ?? [])]);
    });

    test("LG14 the doorbell rings after an append, for its session, until it is unwatched", async () => {
      const log = await freshLog();
      await fill(log, "s", 1);
      await fill(log, "other", 1);
      let rung = () => {};
      let rings = 0;
      const unwatchThrowing = log.watch("s", () => {
        throw new Error("a watcher's own fault");
      });
      const unwatch = log.watch("s", () => {
        rings += 1;
        rung();
      });
      const first = new Promise<void>((resolve) => {
        rung = resolve;
      });
      await fill(log, "s", 1);
      await first;
      assert.ok(rings >= 1);
      unwatch();
      unwatch();
      const before = rings;
      const silent = new Promise<void>((resolve) => {
        const unwatchLast = log.watch("s", () => {
          unwatchLast();
          resolve();
        });
      });
      await fill(log, "s", 1);
      await silent;
      assert.equal(rings, before);
      unwatchThrowing();
    });

    test("LG15 8 writers that race for one session get every record in, once, in one order", async () => {
      const log = await freshLog();
      const each = 25;
      await Promise.all(
        Array.from({ length: 8 }, async (_, w) => {
          const key = { userId: `user-${w}`, clientId: "c" };
          const claim = await log.claim("s", key, `epoch-${w}`);
          let head = claim.head;
          for (let n = 1; n <= each; ) {
            const records = [{ seq: head + 1, frame: bytes(`${w}:${n}`), payloadHash: n }];
            const writers = [writerOf(key, claim, n)];
            const outcome = await log.append("s", { epoch: claim.epoch, expectedHead: head, records, writers });
            if (outcome.kind === "appended") {
              head += 1;
              n += 1;
            } else {
              assert.equal(outcome.kind, "conflict");
              const seen = outcome.kind === "conflict" ? outcome.records : [];
              assert.equal(seen[0]?.seq, head + 1);
              head += seen.length;
            }
          }
        }),
      );
      const all = await log.read("s", 1, everything, everything);
      assert.deepEqual(
        all.map(({ seq }) => seq),
        Array.from({ length: 8 * each }, (_, i) => i + 1),
      );
      const texts = all.map(({ frame }) => new TextDecoder().decode(frame));
      for (let w = 0; w < 8; w++) {
        const own = texts.filter((text) => text.startsWith(`${w}:`));
        assert.deepEqual(
          own,
          Array.from({ length: each }, (_, i) => `${w}:${i + 1}`),
        );
      }
    });

    test("LG16 what was acked is there when the store is opened again", async () => {
      const { log, reopen } = await openLog();
      const first = await fill(log, "a", 150);
      const second = await fill(log, "b", 3, bob);
      await log.putSnapshot("a", epochOf("a"), { seq: 100, bytes: bytes("hundred") });
      await fill(log, "a", 7);
      await log.delete("b");
      const before = [await log.describe("a"), await log.describe("b")];

      // An engine that keeps nothing has to hold the same while it is open.
      const again = reopen === undefined ? log : await reopen();
      assert.deepEqual([await again.describe("a"), await again.describe("b")], before);
      assert.deepEqual(plain(await again.read("a", 1, everything, everything)), plain(recordsAfter(0, 157)));
      assert.equal((await again.latestSnapshot("a"))?.seq, 100);
      const claim = await again.claim("a", alice, "unused");
      assert.deepEqual([claim.epoch, claim.head, claim.lastClientSeq], [first.epoch, 157, 157]);
      assert.ok(claim.generation > first.generation);
      assert.ok((await again.claim("b", bob, "b anew")).generation > second.generation);
    });

    test("LG32 what is put, dropped or trimmed under another epoch than the present one changes nothing", async () => {
      const log = await freshLog();
      await fill(log, "s", 20);
      const kept = epochOf("s");
      for (const seq of [5, 10]) await log.putSnapshot("s", kept, { seq, bytes: bytes(`at ${seq}`) });
      const before = await log.describe("s");
      for (const epoch of ["another", ""]) {
        await log.putSnapshot("s", epoch, { seq: 15, bytes: bytes("stale") });
        await log.dropSnapshot("s", epoch, 10);
        await log.trim("s", epoch, 5);
      }
      assert.deepEqual(await log.describe("s"), before);
      assert.equal((await log.latestSnapshot("s"))?.seq, 10);
      await log.renewEpoch("s", kept, "renewed");
      await log.putSnapshot("s", kept, { seq: 15, bytes: bytes("stale") });
      assert.equal((await log.latestSnapshot("s"))?.seq, 10);
      await log.putSnapshot("s", "renewed", { seq: 15, bytes: bytes("fresh") });
      await log.trim("s", "renewed", 5);
      assert.deepEqual([(await log.latestSnapshot("s"))?.seq, (await log.describe("s"))?.first], [15, 6]);
    });

    test("LG33 a deletion tells the epoch that it ended; of no session, the empty one", async () => {
      const log = await freshLog();
      await fill(log, "s", 1);
      assert.equal(await log.delete("nowhere"), "");
      assert.equal(await log.delete("s"), epochOf("s"));
      assert.equal(await log.delete("s"), "");
    });

    test("LG38 a deletion that is bound to a session untouched since then leaves what was claimed or appended to", async () => {
      const log = await freshLog();
      const claim = await fill(log, "s", 1);
      const { lastActivityMs = 0 } = (await log.describe("s")) ?? {};
      assert.equal(await log.delete("s", lastActivityMs), "");
      assert.equal(await log.delete("s", 0), "");
      assert.equal((await log.describe("s"))?.head, 1);
      const writers = [writerOf(alice, claim, 2)];
      const batch = { epoch: claim.epoch, expectedHead: 1, records: recordsAfter(1, 1), writers };
      assert.equal((await log.append("s", batch)).kind, "appended");
      assert.equal(await log.delete("nowhere", lastActivityMs + 1), "");
      const later = ((await log.describe("s"))?.lastActivityMs ?? 0) + 1;
      assert.equal(await log.delete("s", later), epochOf("s"));
      assert.equal(await log.describe("s"), undefined);
    });

    test("LG34 revocations are read in the order in which they came, from a place on, and stay", async () => {
      const { log, reopen } = await openLog();
      assert.deepEqual(await log.revocations(0, 10), []);
      const all: Revocation[] = [
        { kind: "token", tokenId: "a" },
        { kind: "user", userId: "a", issuedBeforeMs: 1_764_000_000_000 },
        { kind: "token", tokenId: "'; DROP TABLE revocations; --" },
        { kind: "user", userId: "ü 😀", issuedBeforeMs: 3 },
      ];
      for (const revocation of all) await log.revoke(revocation);
      const kept = reopen === undefined ? log : await reopen();
      const read = await kept.revocations(0, 10);
      assert.deepEqual(
        read.map(({ revocation }) => revocation),
        all,
      );
      const places = read.map(({ place }) => place);
      assert.ok(places.every((place, i) => place > (places[i - 1] ?? 0)));
      assert.deepEqual(await kept.revocations(0, 2), read.slice(0, 2));
      assert.deepEqual(await kept.revocations(places[1] ?? 0, 10), read.slice(2));
      assert.deepEqual(await kept.revocations(places[3] ?? 0, 10), []);
    });

    test("LG34 one that comes again takes the place of the earlier one, behind all, and never reaches less far", async () => {
      const log = await freshLog();
      const user = (issuedBeforeMs: number): Revocation => ({ kind: "user", userId: "u", issuedBeforeMs });
      await log.revoke(user(500));
      await log.revoke({ kind: "token", tokenId: "t" });
      const [, last] = await log.revocations(0, 10);
      const since = async () => {
        const found = await log.revocations(last?.place ?? 0, 10);
        return found.map(({ revocation }) => revocation);
      };
      await log.revoke(user(700));
      assert.deepEqual(await since(), [user(700)]);
      await log.revoke(user(600));
      assert.deepEqual(await since(), [user(700)]);
      await log.revoke({ kind: "token", tokenId: "t" });
      assert.deepEqual(await since(), [user(700), { kind: "token", tokenId: "t" }]);
      const both = await log.revocations(0, 10);
      assert.deepEqual(
        both.map(({ revocation }) => revocation.kind),
        ["user", "token"],
      );
      await log.revoke(user(800));
      const turned = await log.revocations(0, 10);
      assert.deepEqual(
        turned.map(({ revocation }) => revocation.kind),
        ["token", "user"],
      );
      await log.revoke({ kind: "token", tokenId: "u" });
      assert.equal((await log.revocations(0, 10)).length, 3, "a token and a user of one name are two");
    });

    test("LG17 a closed log refuses, by name", async () => {
      const log = await freshLog();
      await fill(log, "s", 1);
      await log.close();
      await log.close();
      await rejectsWith(log.claim("s", alice, "e"), "LOG_UNAVAILABLE");
      await rejectsWith(log.read("s", 1, 1, 1), "LOG_UNAVAILABLE");
    });
  });
}
