import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { SessionSnapshotSchema } from "../../src/gen/baton/store/v1/store_pb.ts";
import type { Snapshot } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { SnapshotSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { decodeSnapshot, encodeSnapshot, forgetClients } from "../../src/session/snapshot.ts";
import { SnapshotAssembly, snapshotParts } from "../../src/session/snapshot-parts.ts";
import { emptyState, forkState, mergeState, type SessionState } from "../../src/session/state.ts";
import { textContent } from "../../src/session/text.ts";
import { comment, custom, edit, fold, Random, Session, told, toldWhole, withLimits } from "./support.ts";

const paths = ["a.ts", "b.ts", "c.ts"];
const maxPartBytes = 192 * 1024;

/** Something that somebody might send; about every fourth is refused. */
function act(random: Random, session: Session): string {
  const client = random.pick(["ann", "bob", "cyd", "dan"]);
  const filePath = random.pick(paths);
  const file = session.state.files.get(filePath);
  const version = Math.max(0, (file?.version ?? 0) - (random.chance(0.7) ? 0 : random.below(4)));
  const words = random.pick(["x", "😀", "two\nlines", "\n", "", "c\r\nd"]);
  const roll = random.next();
  if (roll < 0.08) return session.outcome(client, custom("ping", Uint8Array.of(random.below(256))));
  if (roll < 0.35) {
    const sent = {
      commentId: `n${random.below(8)}`,
      filePath: random.chance(0.8) ? filePath : "",
      lineNumber: random.below(5),
      text: words,
      resolved: random.chance(0.3),
      deleted: random.chance(0.2),
      parentId: random.chance(0.2) ? "n0" : "",
      version: random.chance(0.5) ? version : 0,
    };
    return session.outcome(client, comment(sent), { isAdmin: random.chance(0.5) });
  }
  if (roll < 0.4) return session.outcome(client, edit({ filePath, version, deleted: true }));
  if (file === undefined || file.deleted || roll < 0.43) {
    return session.outcome(client, edit({ filePath, lineNumber: 1, content: "one\ntwo 😀\nthree" }));
  }
  if (roll < 0.6) {
    const lineNumber = 1 + random.below(file.text.lines + 1);
    return session.outcome(client, edit({ filePath, version, lineNumber, content: words }));
  }
  const from = random.below(file.text.length + 1);
  const to = Math.min(file.text.length, from + random.below(4));
  return session.outcome(client, edit({ filePath, version, changes: [{ from, to, insert: words }] }));
}

/** Acts on forks, some of which are forgotten, as batches are. */
function history(seed: number, steps: number): Session {
  const random = new Random(seed);
  const session = new Session({ fileHistory: 8 });
  const admitted = new Set<string>();
  for (let batch = 0; batch < steps / 4; batch++) {
    const fork = forkState(session.state);
    const before = toldWhole(session.state);
    const trial = new Session(session.limits, fork);
    trial.nowMs = session.nowMs;
    for (let n = 0; n < 4; n++) {
      const whole = toldWhole(fork);
      const outcome = act(random, trial);
      admitted.add(outcome);
      if (outcome !== "admitted") assert.deepEqual(toldWhole(fork), whole, `${outcome} changed something`);
    }
    assert.deepEqual(toldWhole(session.state), before, "a fork is seen in its parent");
    if (random.chance(0.2)) continue;
    mergeState(session.state, fork);
    session.log.push(...trial.log);
    session.nowMs = trial.nowMs;
  }
  assert.ok(session.log.length > steps / 4 && admitted.size > 5, [...admitted].join(" "));
  return session;
}

const limits = withLimits({ fileHistory: 8 });

function assemble(parts: Iterable<Snapshot>) {
  const assembly = new SnapshotAssembly();
  let whole: ReturnType<SnapshotAssembly["add"]>;
  for (const part of parts) {
    assert.equal(whole, undefined, "a part follows the last");
    whole = assembly.add(part);
    assert.equal(whole === undefined, part.more);
  }
  assert.ok(whole !== undefined);
  return whole;
}

function assertPartsTell(state: SessionState): Snapshot[] {
  const parts = [...snapshotParts(state)].map((part) => {
    const bytes = toBinary(SnapshotSchema, part);
    assert.ok(bytes.length < maxPartBytes);
    assert.ok(new TextEncoder().encode(toJsonString(SnapshotSchema, part)).length < maxPartBytes);
    return fromBinary(SnapshotSchema, bytes);
  });
  const whole = assemble(parts);
  const present = [...state.files.values()].filter(({ deleted }) => !deleted);
  assert.deepEqual([whole.seq, whole.epoch, whole.files.size], [state.head, state.epoch, present.length]);
  for (const { path, version, text } of present) {
    assert.deepEqual(whole.files.get(path), { version, content: textContent(text) });
  }
  const lines = new Map(whole.comments.map(({ commentId, lineNumber }) => [commentId, lineNumber]));
  assert.deepEqual(lines, new Map([...state.comments.values()].map(({ id, line }) => [id, line])));
  return parts;
}

describe("the fold and its snapshots", () => {
  for (let seed = 1; seed <= 30; seed++) {
    test(`SN1 the log, folded, is the state that admitted it, at every prefix; a snapshot and the tail too, seed ${seed}`, () => {
      const session = history(seed, 160);
      const folded = emptyState("demo", "epoch-1");
      const random = new Random(seed);
      for (const [index, entry] of session.log.entries()) {
        fold([entry], limits, folded);
        assert.equal(folded.head, index + 1);
        if (!random.chance(0.2)) continue;
        assertPartsTell(folded);
        const stored = encodeSnapshot(folded, session.nowMs, limits);
        const restored = decodeSnapshot("demo", stored);
        assert.deepEqual(told(restored), told(folded));
        fold(session.log.slice(index + 1), limits, restored);
        assert.deepEqual(told(restored), told(session.state));
      }
      assert.deepEqual(toldWhole(folded), toldWhole(session.state));
    });
  }

  test("SN1 admission goes on from a restored state as from the one that was stored", () => {
    const session = history(3, 200);
    const restored = new Session(limits, decodeSnapshot("demo", encodeSnapshot(session.state, session.nowMs, limits)));
    restored.nowMs = session.nowMs;
    for (const filePath of paths) {
      const version = session.version(filePath);
      const sent = version > 0 && !session.state.files.get(filePath)?.deleted ? version : 0;
      const payload = edit({ filePath, version: sent, lineNumber: 1, content: "again" });
      assert.equal(session.outcome("eve", payload), "admitted");
      assert.equal(restored.outcome("eve", payload), "admitted");
    }
    assert.deepEqual(told(restored.state), told(session.state));
  });

  test("SN2 clients are remembered for their time after the last use, the last used first", () => {
    const session = new Session({ clientTtlMs: 1000 });
    for (const [client, atMs] of [
      ["old", 1],
      ["edge", 2],
      ["new", 1002],
    ] as const) {
      session.nowMs = atMs;
      session.send(client, custom("x"));
    }
    const restored = decodeSnapshot("demo", encodeSnapshot(session.state, 1001, withLimits({ clientTtlMs: 1000 })));
    assert.deepEqual(
      [...restored.clients.values()].map(({ clientId, lastClientSeq }) => [clientId, lastClientSeq]),
      [
        ["new", 1],
        ["edge", 1],
      ],
    );
  });

  test("SN2 a state that forgets what its snapshot leaves out is the one that the snapshot tells", () => {
    const limits = withLimits({ clientTtlMs: 1000 });
    const session = new Session({ clientTtlMs: 1000 });
    for (let n = 1; n <= 50; n++) {
      session.nowMs = n * 100;
      session.send(`c${n % 17}`, custom("x"));
    }
    const nowMs = 5_500;
    const stored = encodeSnapshot(session.state, nowMs, limits);
    const before = [...session.state.clients.values()].length;
    forgetClients(session.state, nowMs, limits);
    assert.deepEqual(encodeSnapshot(session.state, nowMs, limits), stored);
    assert.deepEqual(told(session.state), told(decodeSnapshot("demo", stored)));
    const left = [...session.state.clients.values()];
    assert.ok(left.length > 0 && left.length < before, `${left.length} of ${before}`);
    assert.ok(
      left.every(({ recent }) => recent !== undefined),
      "those that stay keep what they had",
    );
    forgetClients(session.state, 1e9, limits);
    assert.deepEqual([...session.state.clients.values()], []);
  });

  test("SN3 an empty session is exactly one part, and says its epoch", () => {
    const parts = [...snapshotParts(emptyState("demo", "e"))];
    assert.deepEqual(
      parts.map(({ seq, epoch, more, files, comments }) => ({ seq, epoch, more, files, comments })),
      [{ seq: 0n, epoch: "e", more: false, files: [], comments: [] }],
    );
  });

  for (const [name, unit] of [
    ["ordinary text", "plain\n"],
    ["pairs", "😀"],
    ["pairs out of step", "x😀y"],
    ["control characters", "\u0001"],
    ["three-byte characters", "語"],
  ] as const) {
    test(`SN4 parts are below 192 KiB in either form and split no pair: ${name}`, () => {
      const session = new Session();
      const piece = unit.repeat(Math.floor(60_000 / unit.length));
      for (const shift of ["", "z"]) {
        const filePath = `f${shift}`;
        session.send("ann", edit({ filePath, changes: [{ from: 0, to: 0, insert: shift + piece }] }));
        session.send("ann", edit({ filePath, version: 1, changes: [{ from: 0, to: 0, insert: shift + piece }] }));
      }
      session.send("ann", edit({ filePath: "empty" }));
      for (let n = 0; n < 9; n++) {
        const text = unit.repeat(Math.floor((16 * 1024) / unit.length));
        assert.equal(
          session.outcome("bob", comment({ commentId: `n${n}`, filePath: "f", lineNumber: 1, text })),
          "admitted",
        );
      }
      const parts = assertPartsTell(session.state);
      assert.ok(parts.length > 5);
    });
  }

  test("SN4 long names count too", () => {
    const session = new Session();
    const long = (n: number) => `${n}${"語".repeat(500)}`;
    for (let n = 0; n < 256; n++) session.send("ann", edit({ filePath: long(n) }));
    for (let n = 0; n < 2000; n++) {
      const id = `${n}${"語".repeat(120)}`;
      const sent = comment({ commentId: id, parentId: id, filePath: long(n % 256), lineNumber: 1 });
      assert.equal(session.outcome(`c${n}`, sent, { userId: "語".repeat(300) }), "admitted");
    }
    assertPartsTell(session.state);
  });

  test("SN5 parts tell the state that was asked for, however late they are taken", () => {
    const session = history(5, 60);
    const expected = session.state.head;
    const parts = snapshotParts(session.state);
    const before = told(session.state);
    session.send("ann", edit({ filePath: "late.ts" }));
    const whole = assemble(parts);
    assert.equal(whole.seq, expected);
    assert.equal(whole.files.has("late.ts"), false);
    assert.equal(before.head, expected);
  });

  test("SN6 parts of two snapshots, or with one missing, are not put together", () => {
    const session = new Session();
    for (let version = 0; version < 3; version++) {
      session.send("ann", edit({ filePath: "f", version, changes: [{ from: 0, to: 0, insert: "x".repeat(60_000) }] }));
    }
    const [first, ...rest] = [...snapshotParts(session.state)];
    session.send("ann", edit({ filePath: "f", version: 3, changes: [{ from: 0, to: 1 }] }));
    const [, other] = [...snapshotParts(session.state)];
    assert.ok(first !== undefined && other !== undefined && rest.length > 2);
    const assembly = new SnapshotAssembly();
    assembly.add(first);
    assert.throws(() => assembly.add(other), /another snapshot/);
    const second = new SnapshotAssembly();
    second.add(first);
    assert.throws(() => rest.slice(1).forEach((part) => void second.add(part)), /missing/);
  });
});

test("SR6 a stored snapshot keeps where the last custom message stands; one that does not say it, keeps none out", () => {
  const session = new Session();
  assert.equal(session.outcome("ann", custom("ping", Uint8Array.of(1))), "admitted");
  for (let n = 0; n < 3; n++) session.outcome("ann", comment({ commentId: `c${n}`, text: "t" }));
  const { state } = session;
  assert.deepEqual([state.head, state.lastCustomSeq], [4, 1]);
  const bytes = encodeSnapshot(state, session.nowMs, session.limits);
  assert.equal(decodeSnapshot("demo", bytes).lastCustomSeq, 1);
  const none = encodeSnapshot(emptyState("demo", "e"), session.nowMs, session.limits);
  assert.equal(decodeSnapshot("demo", none).lastCustomSeq, 0);
  const stored = fromBinary(SessionSnapshotSchema, bytes);
  stored.lastCustomSeq = undefined;
  assert.equal(decodeSnapshot("demo", toBinary(SessionSnapshotSchema, stored)).lastCustomSeq, 4);
});
