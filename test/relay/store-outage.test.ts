import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { withBreaker } from "../../src/durable/log-breaker.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { codes, createFaultyDriver, type FaultyDriver } from "../durable/faulty-driver.ts";
import { makeFolder } from "../durable/sqlite-folder.ts";
import { appendBeside } from "./beside.ts";
import { edit, type Stream, startRelay, type TestRelay } from "./harness.ts";
import { assertAlive, until } from "./operators.ts";

const cleanups: (() => Promise<void> | void)[] = [];

interface Faulty {
  readonly relay: TestRelay;
  readonly driver: FaultyDriver;
  readonly log: SessionLog;
}

/** A relay on a real database whose statements fail where a test says so; with the breaker before it, as it is mounted. */
async function startFaulty(): Promise<Faulty> {
  const { path, remove } = makeFolder();
  const driver = createFaultyDriver();
  const log = await openSqliteLog({ path, now: Date.now, driver });
  const relay = await startRelay({ log: withBreaker(log) });
  cleanups.push(async () => {
    driver.fault = () => undefined;
    await relay.stop();
    await log.close();
    remove();
  });
  return { relay, driver, log };
}

/** Two people who are in. */
async function startPair(): Promise<Faulty & { readonly alice: Stream; readonly bob: Stream }> {
  const faulty = await startFaulty();
  const alice = await faulty.relay.join({ clientId: "a" });
  const bob = await faulty.relay.join({ as: "bob", clientId: "b" });
  for (const stream of [alice, bob]) await stream.take("welcome");
  return { ...faulty, alice, bob };
}

const all = Number.MAX_SAFE_INTEGER;
const seqsIn = async (log: SessionLog) => (await log.read("demo", 1, all, all)).map(({ seq }) => seq);
const acksOf = (stream: Stream) => stream.received.filter(({ payload }) => payload.case === "ack").length;

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

describe("a store that does not answer", () => {
  test("SF1 for a moment: streams live on, what is sent gathers, and each message is acked once it is durable", async () => {
    const { driver, log, alice, bob } = await startPair();
    let refused = 0;
    driver.fault = (sql, _values, when) => {
      if (sql !== "COMMIT" || when !== "before") return undefined;
      refused += 1;
      return codes.ioFsync;
    };
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    await until(() => refused >= 3);
    alice.send(edit("a.ts", 1, 1, 1, "2"), { clientSeq: 2n });
    bob.send(edit("b.ts", 0, 0, 0, "b"), { clientSeq: 1n });
    // Told at once, since it needs no log: the streams live.
    bob.send({ case: "custom", value: { type: "here", ephemeral: true } });
    await alice.takeMessage("custom");
    assert.equal(acksOf(alice), 0);
    assert.deepEqual(await seqsIn(log), []);
    driver.fault = () => undefined;
    assert.deepEqual([(await alice.take("ack")).seq, (await alice.take("ack")).clientSeq], [1n, 2n]);
    await bob.take("ack");
    await assertAlive(alice, 3n);
    await assertAlive(bob, 2n);
    assert.deepEqual(await seqsIn(log), [1, 2, 3, 4, 5]);
    assert.equal(acksOf(alice), 0);
  });

  test("SF1 for longer than that: the streams end by name, and whoever comes back sends it again", async () => {
    const { relay, driver, log, alice, bob } = await startPair();
    driver.fault = (sql, _values, when) => (sql === "COMMIT" && when === "before" ? codes.ioFsync : undefined);
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    for (const stream of [alice, bob]) {
      const { fault } = await stream.ended;
      assert.deepEqual([fault?.reason, fault?.action], ["LOG_UNAVAILABLE", Action.RECONNECT]);
    }
    driver.fault = () => undefined;
    await until(async () => {
      const again = await relay.join({ clientId: "a" });
      const welcomed = await again.take("welcome").then(
        () => true,
        () => false,
      );
      if (!welcomed) return false;
      again.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
      assert.equal((await again.take("ack")).seq, 1n);
      return true;
    });
    assert.deepEqual(await seqsIn(log), [1]);
  });

  test("SF1 a drain meanwhile ends in its own time", async () => {
    const { relay, driver, alice } = await startPair();
    driver.fault = (sql, _values, when) => (sql === "COMMIT" && when === "before" ? codes.ioFsync : undefined);
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    await until(() => driver.opened > 1);
    await relay.drain();
    assert.equal((await alice.ended).fault?.reason, "DRAIN");
  });

  test("SF2 what an attempt had written though nobody was told is found: one record, one Ack, seen once", async () => {
    const { driver, log, alice, bob } = await startPair();
    let left = 1;
    driver.fault = (sql, _values, when) =>
      sql === "COMMIT" && when === "after" && left-- > 0 ? codes.ioFsync : undefined;
    for (let n = 1n; n <= 3n; n++) alice.send(edit("a.ts", Number(n) - 1, 0, 0, String(n)), { clientSeq: n });
    for (let n = 1n; n <= 3n; n++) assert.equal((await alice.take("ack")).seq, n);
    assert.ok(left < 0, "the commit was not told");
    await assertAlive(alice, 4n);
    for (let n = 1n; n <= 3n; n++) assert.equal((await bob.takeMessage("edit")).seq, n);
    await bob.takeMessage("custom");
    assert.deepEqual([acksOf(alice), bob.kinds().filter((kind) => kind === "edit").length], [0, 0]);
    assert.deepEqual(await seqsIn(log), [1, 2, 3, 4]);
    await assertAlive(bob, 1n);
  });

  test("SF2 what others put behind it meanwhile is folded in, in order", async () => {
    const { relay, driver, log, alice, bob } = await startPair();
    const room = relay.relay.rooms.present("demo");
    let left = 1;
    driver.fault = (sql, _values, when) => {
      if (sql !== "COMMIT" || when !== "after" || left-- <= 0) return undefined;
      // Another instance, right behind the commit whose outcome nobody was told.
      queueMicrotask(() => void appendBeside(log, "demo", { epoch: room?.state.epoch ?? "", expectedHead: 1 }));
      return codes.ioFsync;
    };
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    assert.equal((await bob.takeMessage("edit")).seq, 1n);
    assert.equal((await bob.takeMessage("custom")).seq, 2n);
    await assertAlive(alice, 2n);
    assert.deepEqual(await seqsIn(log), [1, 2, 3]);
    assert.equal(acksOf(alice), 0);
  });

  test("SF3 a batch that was not written, and whose place others took meanwhile, is admitted anew behind them", async () => {
    const { relay, driver, log, alice, bob } = await startPair();
    const room = relay.relay.rooms.present("demo");
    let left = 1;
    driver.fault = (sql, _values, when) => {
      if (sql !== "COMMIT" || when !== "before" || left-- <= 0) return undefined;
      queueMicrotask(() => void appendBeside(log, "demo", { epoch: room?.state.epoch ?? "", expectedHead: 0 }));
      return codes.ioFsync;
    };
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 2n);
    assert.equal((await bob.takeMessage("custom")).seq, 1n);
    assert.equal((await bob.takeMessage("edit")).seq, 2n);
    await assertAlive(alice, 2n);
    assert.deepEqual(await seqsIn(log), [1, 2, 3]);
    assert.equal(acksOf(alice), 0);
  });

  test("SF4 a full disk after an attempt whose outcome is not known is no refusal: the batch may be in the log", async () => {
    const { driver, log, alice } = await startPair();
    const faults = [
      ["after", codes.ioFsync],
      ["before", codes.full],
      ["before", codes.full],
    ] as const;
    let at = 0;
    driver.fault = (sql, _values, when) => {
      const [moment, code] = faults[at] ?? [];
      if (sql !== "COMMIT" || when !== moment) return undefined;
      at += 1;
      return code;
    };
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    assert.equal(at, faults.length);
    assert.equal(alice.kinds().includes("fault"), false);
    assert.deepEqual(await seqsIn(log), [1]);
    await assertAlive(alice, 2n);
  });

  test("SF4 a full disk from the first attempt on is one: the number is free again", async () => {
    const { driver, log, alice } = await startPair();
    driver.fault = (sql, _values, when) => (sql === "COMMIT" && when === "before" ? codes.full : undefined);
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    const fault = await alice.take("fault");
    assert.deepEqual([fault.reason, fault.action, fault.clientSeq], ["LOG_FULL", Action.RETRY, 1n]);
    driver.fault = () => undefined;
    alice.send(edit("other.ts", 0, 0, 0, "x"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    assert.deepEqual(await seqsIn(log), [1]);
  });
});
