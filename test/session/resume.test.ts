import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Join_History as History, Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type JoinRequest, planJoin } from "../../src/session/resume.ts";
import { emptyState } from "../../src/session/state.ts";
import { nameOf } from "./support.ts";

const state = (head: number, hasDocument = true) => ({ ...emptyState("demo", "e1"), head, hasDocument });
const fresh = (history: History, lastSeq = 0): JoinRequest => ({ history, lastSeq, resume: undefined });
const resume = (lastSeq: number, head = lastSeq, epoch = "e1", history: History = History.SNAPSHOT): JoinRequest => ({
  history,
  lastSeq,
  resume: { epoch, head },
});

/** "outcome, whether a snapshot of the head, the first seq, a stored snapshot", in short. */
function plan(head: number, first: number, request: JoinRequest, hasDocument = true): string {
  const made = planJoin(state(head, hasDocument), first, request);
  if (made.kind === "tail-lost") return made.kind;
  const from = made.storedSnapshotSeq > 0 ? ` after stored ${made.storedSnapshotSeq}` : "";
  return `${nameOf(Outcome, made.outcome)} ${made.snapshot ? "snapshot, " : ""}from ${made.fromSeq}${from}`;
}

describe("join plans", () => {
  test("RS1 a new join gets what it asks for", () => {
    assert.equal(plan(9, 1, fresh(History.LIVE)), "NEW from 10");
    assert.equal(plan(9, 1, fresh(History.SNAPSHOT)), "NEW snapshot, from 10");
    assert.equal(plan(9, 1, fresh(History.FULL)), "NEW from 1");
    assert.equal(plan(9, 5, fresh(History.FULL)), "NEW from 5 after stored 4");
    assert.equal(plan(9, 10, fresh(History.FULL)), "NEW from 10 after stored 9");
    assert.equal(plan(0, 1, fresh(History.FULL)), "NEW from 1");
  });

  test("RS2 a join that asks for nothing gets a snapshot, or the log where it holds custom messages only", () => {
    assert.equal(plan(9, 1, fresh(History.HISTORY_UNSPECIFIED)), "NEW snapshot, from 10");
    assert.equal(plan(9, 1, fresh(History.HISTORY_UNSPECIFIED), false), "NEW from 1");
    assert.equal(plan(9, 5, fresh(History.HISTORY_UNSPECIFIED), false), "NEW from 5 after stored 4");
    assert.equal(plan(0, 1, fresh(History.HISTORY_UNSPECIFIED), false), "NEW snapshot, from 1");
  });

  test("RS3 last_seq counts only with a resume token", () => {
    assert.equal(plan(9, 1, fresh(History.SNAPSHOT, 7)), "NEW snapshot, from 10");
    assert.equal(plan(9, 1, fresh(History.LIVE, 7)), "NEW from 10");
  });

  test("RS4 a resume gets all that came after its last_seq, whatever history it names", () => {
    assert.equal(plan(9, 1, resume(7)), "RESUMED from 8");
    assert.equal(plan(9, 1, resume(9)), "RESUMED from 10");
    assert.equal(plan(9, 1, resume(0, 9)), "RESUMED from 1");
    assert.equal(plan(9, 1, resume(9, 3)), "RESUMED from 10");
    for (const history of [History.LIVE, History.FULL, History.HISTORY_UNSPECIFIED]) {
      assert.equal(plan(9, 1, resume(7, 7, "e1", history)), "RESUMED from 8");
    }
  });

  test("RS5 a resume from before the trim gets a snapshot and the tail; from just behind it, it is whole", () => {
    assert.equal(plan(9, 5, resume(4)), "RESUMED from 5");
    assert.equal(plan(9, 5, resume(3)), "RESYNCED snapshot, from 10");
    assert.equal(plan(9, 10, resume(8)), "RESYNCED snapshot, from 10");
    assert.equal(plan(9, 10, resume(9)), "RESUMED from 10");
  });

  test("RS6 a token of another epoch is resynced, whatever it says of seqs", () => {
    assert.equal(plan(9, 1, resume(7, 7, "e0")), "RESYNCED snapshot, from 10");
    assert.equal(plan(9, 1, resume(99, 99, "e0")), "RESYNCED snapshot, from 10");
  });

  test("RS7 a token that vouches for a head beyond the log's means a lost tail", () => {
    assert.equal(plan(9, 1, resume(7, 10)), "tail-lost");
    assert.equal(plan(0, 1, resume(0, 1)), "tail-lost");
  });

  test("RS8 a last_seq beyond the head that no token vouches for resyncs that client alone", () => {
    assert.equal(plan(9, 1, resume(10, 9)), "RESYNCED snapshot, from 10");
    assert.equal(plan(9, 1, resume(2 ** 53, 5)), "RESYNCED snapshot, from 10");
  });
});
