import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hashPayload, type LoggedPayload } from "../../src/session/admit.ts";
import { applyRecord } from "../../src/session/apply.ts";
import { hashBytes } from "../../src/session/hash.ts";
import type { Limits } from "../../src/session/limits.ts";
import { refuse } from "../../src/session/refusal.ts";
import { type Answer, type Pending, Sequencer } from "../../src/session/sequencer.ts";
import { decodeSnapshot, encodeSnapshot } from "../../src/session/snapshot.ts";
import { emptyState } from "../../src/session/state.ts";
import {
  comment,
  custom,
  edit,
  fold,
  keyOf,
  type LogEntry,
  overWire,
  Random,
  Session,
  submission,
  toldWhole,
  withLimits,
} from "./support.ts";

const payload = (n: number) => custom("n", Uint8Array.of(n & 255, n >> 8));
const pending = (
  client: string,
  clientSeq: number,
  sent: LoggedPayload = payload(clientSeq),
  generation = 1,
): Pending<string> => ({
  origin: `${client}/${clientSeq}/${generation}`,
  submission: submission(client, clientSeq, sent, { generation }),
  bytes: 10,
});
const sequencer = (limits: Partial<Limits> = {}) => new Sequencer<string>(emptyState("demo", "e"), withLimits(limits));
const said = (answers: readonly Answer<string>[]) =>
  answers.map(({ origin, result }) =>
    result.kind === "refused" ? `${origin} ${result.reason}` : `${origin} at ${result.logged.seq}`,
  );
const placed = (records: readonly { origin: string; logged: { seq: number } }[]) =>
  records.map(({ origin, logged }) => `${origin} at ${logged.seq}`);

describe("admission", () => {
  test("OR3 a client's messages are 1, 2, 3, ...; any other number is refused, says which is expected, and takes none", () => {
    const session = new Session();
    session.send("ann", payload(1));
    const before = toldWhole(session.state);
    for (const clientSeq of [0, -1, 3, 2 ** 53, 2 ** 64, Number.NaN, Number.POSITIVE_INFINITY, 1.5]) {
      const result = session.send("ann", payload(1), { clientSeq });
      assert.ok(result.kind === "refused");
      assert.deepEqual([result.reason, result.message], ["OUT_OF_ORDER", "expected client_seq 2"]);
    }
    assert.deepEqual(toldWhole(session.state), before);
    assert.equal(session.outcome("ann", payload(2)), "admitted");
    assert.equal(session.outcome("bob", payload(2), { clientSeq: 2 }), "OUT_OF_ORDER");
  });

  test("OR4 what was logged is answered with its place, its own content given; other content under its number is refused", () => {
    const session = new Session();
    for (let n = 1; n <= 3; n++) session.send("ann", payload(n));
    session.send("bob", edit({ filePath: "f" }));
    const again = session.send("ann", payload(2), { clientSeq: 2 });
    assert.ok(again.kind === "repeated");
    assert.equal(again.logged.seq, 2);
    const made = session.send("bob", edit({ filePath: "f" }), { clientSeq: 1 });
    assert.ok(made.kind === "repeated");
    assert.deepEqual([made.logged.seq, made.logged.version], [4, 1]);
    assert.equal(session.outcome("ann", payload(9), { clientSeq: 2 }), "CLIENT_SEQ_REUSED");
    assert.equal(session.log.length, 4);
  });

  test("OR5 a repeat is answered as one although its sender may no longer send; what is new is refused, and free again", () => {
    const session = new Session();
    const refusal = refuse("SCOPE_MISSING");
    session.send("ann", payload(1));
    assert.equal(session.outcome("ann", payload(1), { clientSeq: 1, refusal }), "repeated");
    assert.equal(session.outcome("ann", payload(2), { refusal }), "SCOPE_MISSING");
    assert.equal(session.outcome("ann", payload(3), { clientSeq: 3, refusal }), "OUT_OF_ORDER");
    assert.equal(session.outcome("ann", edit({ filePath: "" })), "PATH_INVALID");
    assert.equal(session.outcome("ann", payload(4), { clientSeq: 2 }), "admitted");
  });

  test("OR6 a repeat whose place is no longer known is answered with seq 0", () => {
    const session = new Session();
    for (let n = 1; n <= 600; n++) session.send("ann", payload(n));
    const placeOf = (clientSeq: number) => {
      const result = session.send("ann", payload(clientSeq), { clientSeq });
      assert.ok(result.kind === "repeated");
      return result.logged.seq;
    };
    assert.equal(placeOf(1), 0);
    for (let n = 600; n > 600 - 256; n--) assert.equal(placeOf(n), n);
    const bytes = encodeSnapshot(session.state, session.nowMs, session.limits);
    const restored = new Session({}, decodeSnapshot("demo", bytes));
    const result = restored.send("ann", payload(600), { clientSeq: 600 });
    assert.ok(result.kind === "repeated" && result.logged.seq === 0);
    assert.equal(restored.outcome("ann", payload(601)), "admitted");
  });

  test("OR7 two users with one client id are two clients", () => {
    const session = new Session();
    session.send("ann", payload(1));
    assert.equal(session.outcome("ann", payload(1), { userId: "eve", clientSeq: 1 }), "admitted");
    assert.equal(session.outcome("ann", payload(7), { userId: "eve", clientSeq: 1 }), "CLIENT_SEQ_REUSED");
  });

  test("OR8 the hash of a payload depends on all of it, and is the published one", () => {
    const bytes = (text: string) => new TextEncoder().encode(text);
    assert.equal(hashBytes(bytes("a")), 7929297801672961);
    assert.equal(hashBytes(bytes("b")), 8684336938537663);
    assert.notEqual(hashPayload(custom("a")), hashPayload(custom("b")));
    assert.notEqual(hashPayload(custom("a")), hashPayload(comment({ commentId: "a" })));
    assert.notEqual(hashPayload(edit({ filePath: "f" })), hashPayload(edit({ filePath: "f", version: 1 })));
    assert.equal(hashPayload(edit({ filePath: "f" })), hashPayload(edit({ filePath: "f" })));
    assert.ok(Number.isSafeInteger(hashPayload(custom("x", new Uint8Array(1000)))));
  });

  test("OR9 a custom message's type is well-formed, of at most 128 characters", () => {
    const session = new Session();
    assert.equal(session.outcome("ann", custom("x".repeat(128))), "admitted");
    assert.equal(session.outcome("ann", custom("x".repeat(129))), "CUSTOM_INVALID");
    assert.equal(session.outcome("ann", custom("\ud800")), "CUSTOM_INVALID");
  });
});

describe("sequencer", () => {
  test("OR10 while a batch is on its way the next gathers; its outcome changes the state, and nothing before it", () => {
    const queue = sequencer();
    queue.submit(pending("ann", 1));
    queue.submit(pending("bob", 1));
    const { batch } = queue.next(1);
    assert.deepEqual(placed(batch?.records ?? []), ["ann/1/1 at 1", "bob/1/1 at 2"]);
    assert.deepEqual([batch?.expectedHead, queue.state.head], [0, 0]);
    queue.submit(pending("ann", 2));
    assert.deepEqual(queue.next(2), { batch: undefined, answers: [] });
    assert.deepEqual(placed(queue.appended().records), ["ann/1/1 at 1", "bob/1/1 at 2"]);
    assert.equal(queue.state.head, 2);
    assert.deepEqual(placed(queue.next(3).batch?.records ?? []), ["ann/2/1 at 3"]);
    assert.equal(queue.idle, false);
    queue.appended();
    assert.equal(queue.idle, true);
  });

  test("OR11 an answer that may stand on a record is told after it is in; one that cannot, at once", () => {
    const queue = sequencer();
    for (const sent of [pending("ann", 1), pending("ann", 1), pending("ann", 3)]) queue.submit(sent);
    assert.deepEqual(queue.next(1).answers, []);
    const { records, answers } = queue.appended();
    assert.deepEqual([placed(records), said(answers)], [["ann/1/1 at 1"], ["ann/1/1 at 1", "ann/3/1 OUT_OF_ORDER"]]);
    queue.submit(pending("ann", 1));
    const { batch, answers: direct } = queue.next(2);
    assert.deepEqual([batch, said(direct)], [undefined, ["ann/1/1 at 1"]]);
    assert.equal(queue.idle, true);
  });

  test("OR12 a batch that the log refused is told to all of its senders, and their numbers are free", () => {
    const queue = sequencer();
    queue.submit(pending("ann", 1));
    queue.submit(pending("ann", 2));
    queue.next(1);
    queue.submit(pending("ann", 3));
    assert.deepEqual(said(queue.refused(refuse("LOG_FULL"))), ["ann/1/1 LOG_FULL", "ann/2/1 LOG_FULL"]);
    assert.deepEqual(said(queue.next(2).answers), ["ann/3/1 OUT_OF_ORDER"]);
    queue.submit(pending("ann", 1));
    assert.deepEqual(placed(queue.next(3).batch?.records ?? []), ["ann/1/1 at 1"]);
  });

  test("OR12 what the log holds is answered with its place, although the batch it came in was refused", () => {
    const queue = sequencer();
    queue.submit(pending("ann", 1));
    queue.next(1);
    queue.appended();
    for (const sent of [pending("ann", 1), pending("bob", 1), pending("bob", 1)]) queue.submit(sent);
    queue.next(2);
    assert.deepEqual(said(queue.refused(refuse("LOG_FULL"))), ["ann/1/1 at 1", "bob/1/1 LOG_FULL", "bob/1/1 LOG_FULL"]);
  });

  test("OR13 conflicts are admitted anew, in their order, and told to try again only when too many come in a row", () => {
    const queue = sequencer();
    const others = new Session({}, emptyState("demo", "e"));
    queue.submit(pending("ann", 1));
    const conflict = (n: number) => {
      const { batch } = queue.next(n);
      assert.equal(batch?.expectedHead, queue.state.head);
      others.send("bob", payload(n));
      const answers = queue.conflicted();
      fold(others.log.slice(-1), others.limits, queue.state);
      return said(answers);
    };
    for (let n = 1; n <= 100; n++) {
      assert.deepEqual(conflict(n), []);
      if (n === 50) {
        queue.next(n);
        assert.deepEqual(said(queue.refused(refuse("LOG_FULL"))), ["ann/1/1 LOG_FULL"]);
        queue.submit(pending("ann", 1));
      }
    }
    for (let n = 101; n <= 150; n++) assert.deepEqual(conflict(n), []);
    assert.deepEqual(conflict(151), ["ann/1/1 CONTENTION"]);
    queue.submit(pending("ann", 1));
    assert.deepEqual(placed(queue.next(200).batch?.records ?? []), ["ann/1/1 at 152"]);
  });

  test("OR13 what comes back from a conflict or a supersession stands before what has gathered since", () => {
    const queue = sequencer();
    queue.submit(pending("ann", 1));
    queue.next(1);
    queue.submit(pending("ann", 2));
    queue.conflicted();
    assert.deepEqual(placed(queue.next(2).batch?.records ?? []), ["ann/1/1 at 1", "ann/2/1 at 2"]);
    queue.submit(pending("ann", 3));
    queue.superseded();
    assert.deepEqual(placed(queue.next(3).batch?.records ?? []), ["ann/1/1 at 1", "ann/2/1 at 2", "ann/3/1 at 3"]);
  });

  test("OR14 a batch has at most 512 records and 1 MiB, and at least one message", () => {
    const queue = sequencer();
    for (let n = 1; n <= 513; n++) queue.submit(pending("ann", n));
    assert.equal(queue.next(1).batch?.records.length, 512);
    queue.appended();
    queue.submit({ ...pending("ann", 514), bytes: 2 * 1024 * 1024 });
    queue.submit(pending("ann", 515));
    assert.equal(queue.next(2).batch?.records.length, 1);
    queue.appended();
    assert.equal(queue.next(3).batch?.records.length, 1);
    queue.appended();
    assert.equal(queue.next(4).batch?.records.length, 1);
  });

  test("SL12 of claims that are very many the older ones are forgotten early, and what is new is known", () => {
    const queue = sequencer();
    const names = Array.from({ length: 100_000 }, (_, n) => `client ${n}`);
    for (const [n, name] of names.entries()) queue.supersede(name, n + 1);
    const known = names.filter((name, n) => queue.claimOf(name) === n + 1);
    assert.ok(known.length >= 20_000 && known.length <= 40_000, `${known.length} are known`);
    assert.deepEqual(known, names.slice(-known.length), "the newest");
  });

  test("OR15 a claim is known for as long as its client is remembered, and is forgotten after twice that", () => {
    const queue = sequencer({ clientTtlMs: 1000 });
    queue.forgetClaims(5_000);
    queue.supersede("quiet", 7);
    queue.supersede("busy", 3);
    queue.forgetClaims(5_999);
    assert.deepEqual([queue.claimOf("quiet"), queue.claimOf("busy")], [7, 3]);
    queue.forgetClaims(6_000);
    queue.supersede("busy", 2);
    queue.forgetClaims(6_999);
    assert.deepEqual([queue.claimOf("quiet"), queue.claimOf("busy")], [7, 3]);
    queue.forgetClaims(7_000);
    assert.deepEqual([queue.claimOf("quiet"), queue.claimOf("busy")], [0, 3]);
    // A clock that is set back begins anew: nothing is forgotten early.
    queue.forgetClaims(100);
    queue.forgetClaims(1_099);
    assert.equal(queue.claimOf("busy"), 3);
    queue.forgetClaims(1_100);
    assert.equal(queue.claimOf("busy"), 0);
  });

  test("OR15 what was submitted under an older claim is refused SUPERSEDED, also when the newer one only shows in a message", () => {
    const queue = sequencer();
    queue.submit(pending("ann", 1));
    queue.submit(pending("bob", 1));
    queue.supersede(keyOf("ann"), 2);
    queue.submit(pending("ann", 1, payload(1), 2));
    queue.submit(pending("ann", 2, payload(2), 1));
    const { batch, answers } = queue.next(1);
    assert.deepEqual(placed(batch?.records ?? []), ["bob/1/1 at 1", "ann/1/2 at 2"]);
    const superseded = answers.map(({ clientSeq, result }) => [clientSeq, result.kind === "refused" && result.reason]);
    assert.deepEqual(superseded, [
      [1, "SUPERSEDED"],
      [2, "SUPERSEDED"],
    ]);
    assert.equal(batch?.writers.get(keyOf("ann"))?.generation, 2);
    queue.appended();
    queue.submit(pending("bob", 2));
    queue.submit(pending("bob", 2, payload(2), 5));
    assert.deepEqual(placed(queue.next(2).batch?.records ?? []), ["bob/2/5 at 3"]);
    queue.supersede(keyOf("bob"), 6);
    queue.superseded();
    const last = queue.next(3);
    assert.equal(last.batch, undefined);
    assert.deepEqual(
      last.answers.map(({ clientSeq }) => clientSeq),
      [2],
    );
    assert.equal(queue.idle, true);
  });

  test("OR16 the state must not move under a batch that is on its way", () => {
    const queue = sequencer();
    const others = new Session({}, emptyState("demo", "e"));
    queue.submit(pending("ann", 1));
    queue.next(1);
    others.send("bob", payload(1));
    fold(others.log, others.limits, queue.state);
    assert.throws(() => queue.appended(), /moved/);
  });

  for (let seed = 1; seed <= 40; seed++) {
    test(`OR17 several instances on one log: nothing twice, nothing lost, each client's own order, seed ${seed}`, () => {
      run(seed);
    });
  }
});

/** Clients that send their messages again until these are acked, over instances that race for one log. */
function run(seed: number): void {
  const random = new Random(seed);
  const limits = withLimits();
  const log: LogEntry[] = [];
  const instances = Array.from({ length: 3 }, () => ({
    queue: new Sequencer<string>(emptyState("demo", "e"), limits),
    batch: undefined as ReturnType<Sequencer<string>["next"]>["batch"],
  }));
  const clients = ["ann", "bob", "cyd"].map((id) => ({
    id,
    generation: 1,
    on: random.below(instances.length),
    acked: 0,
    sent: 0,
  }));
  const claims = new Map(clients.map(({ id }) => [keyOf(id), 1]));
  const goal = 25;
  let conflicts = 0;
  let superseded = 0;
  let repeated = 0;

  const catchUp = ({ queue }: { queue: Sequencer<string> }) => {
    for (const { message, payloadHash } of log.slice(queue.state.head)) {
      applyRecord(queue.state, message, payloadHash, limits.fileHistory);
    }
  };
  const hear = (origin: string, ok: boolean) => {
    const [id, clientSeq, generation] = origin.split("/");
    const client = clients.find((one) => one.id === id);
    if (client === undefined || Number(generation) !== client.generation) return;
    if (ok) client.acked = Math.max(client.acked, Number(clientSeq));
    else client.sent = client.acked;
  };
  const tell = (answers: readonly Answer<string>[]) => {
    for (const { origin, clientSeq, result } of answers) {
      if (result.kind === "repeated") {
        repeated += 1;
        const at = log.findIndex(
          ({ message }) => message.clientId === origin.split("/")[0] && message.clientSeq === BigInt(clientSeq),
        );
        assert.equal(result.logged.seq, at + 1, "an answer stands on what is not in the log");
      }
      hear(origin, result.kind === "repeated");
    }
  };

  const step = (faults: boolean) => {
    const client = random.pick(clients);
    const instance = random.pick(instances);
    const roll = random.next();
    if (roll < 0.4) {
      const home = instances[client.on];
      if (home === undefined || client.sent >= goal || client.sent - client.acked > 5) return;
      client.sent += 1;
      home.queue.submit(pending(client.id, client.sent, payload(client.sent), client.generation));
    } else if (roll < 0.45 && faults) {
      client.generation += 1;
      claims.set(keyOf(client.id), client.generation);
      client.on = random.below(instances.length);
      client.sent = client.acked;
      if (random.chance(0.5)) {
        for (const { queue } of instances) queue.supersede(keyOf(client.id), client.generation);
      }
    } else if (instance.batch === undefined) {
      if (random.chance(0.3)) catchUp(instance);
      const { batch, answers } = instance.queue.next(1_700_000_000_000);
      instance.batch = batch;
      tell(answers);
    } else {
      const { batch, queue } = instance;
      instance.batch = undefined;
      const stale = [...batch.writers].filter(([key, { generation }]) => generation < (claims.get(key) ?? 0));
      if (stale.length > 0) {
        superseded += 1;
        for (const [key] of stale) queue.supersede(key, claims.get(key) ?? 0);
        queue.superseded();
      } else if (batch.expectedHead !== log.length) {
        conflicts += 1;
        const answers = queue.conflicted();
        catchUp(instance);
        tell(answers);
      } else if (faults && random.chance(0.1)) {
        tell(queue.refused(refuse("LOG_FULL")));
      } else {
        for (const { message, logged } of batch.records) {
          log.push({ message: overWire(message), payloadHash: logged.payloadHash });
        }
        if (faults && random.chance(0.2)) {
          // The outcome is unknown: it is settled by the log, and by the same numbers again.
          const answers = queue.conflicted();
          catchUp(instance);
          tell(answers);
          return;
        }
        const { records, answers } = queue.appended();
        for (const { origin } of records) hear(origin, true);
        tell(answers);
      }
    }
  };
  for (let n = 0; n < 1500; n++) step(true);
  for (let n = 0; n < 6000 && clients.some(({ acked }) => acked < goal); n++) {
    step(false);
    // Faults have stopped: whoever waits for an answer that a newer claim took away sends again.
    if (n % 200 === 199) for (const client of clients) client.sent = client.acked;
  }

  for (const { id } of clients) {
    const own = log.filter(({ message }) => message.clientId === id).map(({ message }) => Number(message.clientSeq));
    assert.deepEqual(
      own,
      Array.from({ length: goal }, (_, index) => index + 1),
    );
  }
  log.forEach(({ message }, index) => void assert.equal(Number(message.seq), index + 1));
  const folded = fold(log, limits, emptyState("demo", "e"));
  for (const instance of instances) {
    if (instance.batch !== undefined) instance.queue.conflicted();
    catchUp(instance);
    assert.deepEqual(toldWhole(instance.queue.state), toldWhole(folded));
  }
  assert.ok(conflicts > 0 && superseded > 0 && repeated > 0, `${conflicts} ${superseded} ${repeated}`);
}
