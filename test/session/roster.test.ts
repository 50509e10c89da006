import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type PresenceChange, Roster } from "../../src/session/roster.ts";
import { keyOf, nameOf, Random } from "./support.ts";

const limits = { idleMs: 60_000, leaveGraceMs: 15_000 };
const ann = keyOf("ann");
const names = (changes: readonly PresenceChange[]) =>
  changes.map(({ clientId, status }) => `${clientId} ${nameOf(Status, status)}`);

function withAnn(nowMs = 0): Roster {
  const roster = new Roster(limits);
  assert.deepEqual(names(roster.joined("user-ann", "ann", 1, nowMs)), ["ann JOINED"]);
  return roster;
}

describe("roster", () => {
  test("PR1 a join is told once; who is back within the grace was never away", () => {
    const roster = withAnn();
    assert.deepEqual(roster.joined("user-ann", "ann", 1, 1), []);
    roster.away(ann, 100);
    assert.deepEqual(roster.tick(100 + 14_999), []);
    assert.deepEqual(roster.joined("user-ann", "ann", 1, 15_099), []);
    assert.deepEqual(roster.tick(15_101), []);
    assert.deepEqual(roster.tick(40_000), []);
  });

  test("PR2 who does not come back has left once, when the grace is over", () => {
    const roster = withAnn();
    roster.away(ann, 100);
    assert.deepEqual(roster.tick(15_099), []);
    assert.deepEqual(names(roster.tick(15_100)), ["ann LEFT"]);
    assert.deepEqual(roster.tick(99_999), []);
    assert.deepEqual(roster.left(ann), []);
    assert.equal(roster.get(ann), undefined);
    assert.deepEqual(names(roster.joined("user-ann", "ann", 1, 100_000)), ["ann JOINED"]);
    assert.deepEqual(names(roster.left(ann)), ["ann LEFT"]);
    assert.deepEqual(roster.tick(200_000), []);
  });

  test("PR3 idle after its time without input, told once; active again at once", () => {
    const roster = withAnn();
    assert.deepEqual(roster.tick(59_999), []);
    assert.deepEqual(names(roster.tick(60_000)), ["ann IDLE"]);
    assert.deepEqual(roster.tick(120_000), []);
    assert.deepEqual(names(roster.active(ann, 120_001)), ["ann ACTIVE"]);
    assert.deepEqual(roster.active(ann, 120_002), []);
    assert.deepEqual(roster.tick(180_001), []);
    assert.deepEqual(names(roster.tick(180_002)), ["ann IDLE"]);
    roster.away(ann, 180_003);
    assert.deepEqual(names(roster.joined("user-ann", "ann", 1, 180_004)), ["ann ACTIVE"]);
  });

  test("PR4 what somebody says of itself is told when it changes; names are kept over a reconnect", () => {
    const roster = withAnn();
    assert.deepEqual(names(roster.says(ann, Status.IDLE, "Ann", 1)), ["ann IDLE"]);
    assert.deepEqual(roster.says(ann, Status.IDLE, "", 2), []);
    assert.equal(roster.get(ann)?.displayName, "Ann");
    const [change] = roster.says(ann, Status.ACTIVE, "Anna", 3);
    assert.deepEqual([change?.displayName, change?.status], ["Anna", Status.ACTIVE]);
    roster.away(ann, 4);
    assert.deepEqual(roster.joined("user-ann", "ann", 1, 5), []);
    assert.equal(roster.get(ann)?.displayName, "Anna");
    assert.deepEqual(roster.says(keyOf("eve"), Status.ACTIVE, "Eve", 6), []);
    assert.deepEqual(roster.active(keyOf("eve"), 7), []);
  });

  test("PR5 a clock that was set back keeps nobody shown for longer than a grace, or awake for longer than its time", () => {
    const roster = withAnn(3_600_000);
    roster.joined("user-bob", "bob", 1, 3_600_000);
    roster.away(ann, 3_600_000);
    assert.deepEqual(roster.tick(1000), []);
    assert.deepEqual(names(roster.tick(16_000)), ["ann LEFT"]);
    assert.deepEqual(roster.tick(60_999), []);
    assert.deepEqual(names(roster.tick(61_000)), ["bob IDLE"]);
  });

  test("PR6 whatever happens, what is told of a client is JOINED, then ACTIVE and IDLE in turn, then LEFT", () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Random(seed);
      const roster = new Roster(limits);
      const shown = new Map<string, Status>();
      let nowMs = 1_000_000;
      let told = 0;
      for (let step = 0; step < 300; step++) {
        nowMs += random.chance(0.05) ? -random.below(500_000) : random.below(20_000);
        const clientId = random.pick(["ann", "bob", "cyd"]);
        const key = keyOf(clientId);
        const roll = random.next();
        let changes: readonly PresenceChange[] = [];
        if (roll < 0.2) changes = roster.joined(`user-${clientId}`, clientId, 1, nowMs);
        else if (roll < 0.4) roster.away(key, nowMs);
        else if (roll < 0.45) changes = roster.left(key);
        else if (roll < 0.65) changes = roster.active(key, nowMs);
        else if (roll < 0.7) changes = roster.says(key, random.pick([Status.IDLE, Status.ACTIVE]), "", nowMs);
        else changes = roster.tick(nowMs);
        for (const { clientId: who, status } of changes) {
          told += 1;
          const before = shown.get(who);
          if (status === Status.JOINED) assert.equal(before, undefined);
          else
            assert.ok(before !== undefined && before !== status, `seed ${seed}: ${nameOf(Status, status)} told twice`);
          if (status === Status.LEFT) shown.delete(who);
          else shown.set(who, status === Status.JOINED ? Status.ACTIVE : status);
        }
        assert.deepEqual(new Map([...roster.entries].map((entry) => [entry.clientId, entry.status])), shown);
      }
      assert.ok(told > 10);
    }
  });
});
