import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { FaultSchema, Join_History as History } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import type { Reason } from "../../../src/session/reasons.ts";
import { changeSet } from "../../../src/session/text.ts";
import { faultValue, message, Outcome, Script, sameMessage } from "./script.ts";

function joinOf(script: Script) {
  const { payload } = script.client.join();
  assert.ok(payload.case === "join");
  return payload.value;
}

const endWith = (script: Script, reason: Reason, retryAfterMs = 0) => {
  const fault = create(FaultSchema, faultValue(reason, 0, retryAfterMs));
  script.run(script.client.ended({ code: fault.code, fault }));
};

describe("editing", () => {
  test("CT7 a file has one edit on its way; what is typed meanwhile goes as one, on the version that the Ack told", () => {
    const script = Script.live("abc");
    script.type(3, "d");
    script.type(4, "e");
    script.type(5, "f");
    assert.deepEqual(script.numbers(), ["1 f@1 3-3:d"]);
    script.remoteEdit(2, 2, { changes: [{ from: 0, to: 1, insert: "XY" }] });
    assert.equal(script.text(), "XYbcdef");
    script.ack(1, 3, 3);
    assert.deepEqual(script.numbers(), ["1 f@1 3-3:d", "2 f@3 5-5:ef"]);
    script.ack(2, 4, 4);
    assert.ok(script.client.settled);
    assert.equal(script.client.lastSeq, 4);
  });

  test("CT7 files do not wait for each other, and numbers follow without a gap", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.type(0, "2", 0, "g");
    script.run(script.client.createFile("empty"));
    script.run(script.client.custom("x", Uint8Array.of(9)));
    assert.deepEqual(script.numbers(), ["1 f@1 0-0:1", "2 g@0 0-0:2", "3 empty@0 ", "4 custom 9"]);
    assert.equal(script.client.nextClientSeq, 5);
  });

  test("CT8 the application is told another's change as one of what it displays, and not its own", () => {
    const script = Script.live("abc");
    script.type(0, "12");
    script.type(5, "z");
    script.remoteEdit(2, 2, { changes: [{ from: 1, to: 2, insert: "B" }] });
    const [told] = script.told("text");
    assert.deepEqual(told?.changes.toJSON(), changeSet(6, [{ from: 3, to: 4, insert: "B" }]).toJSON());
    assert.equal(script.text(), "12aBcz");
    assert.equal(script.events.length, 1);
  });

  test("CT9 a deleted file takes unsent work with it, which the application is given", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.type(1, "2");
    script.remoteEdit(2, 2, { deleted: true, changes: [{ from: 0, to: 3, insert: "" }] });
    assert.equal(script.text(), undefined);
    assert.equal(script.told("lost-file")[0]?.text.toString(), "12abc");
    assert.equal(script.told("text")[0]?.exists, false);
    script.run(script.client.createFile("f", "new"));
    assert.deepEqual(script.numbers(), ["1 f@1 0-0:1"], "until the lost edit is answered");
    script.fault("FILE_DELETED", 1);
    assert.deepEqual(script.numbers(), ["1 f@1 0-0:1", "1 f@0 0-0:new"]);
    assert.equal(script.text(), "new");
    script.ack(1, 3, 3);
    assert.ok(script.client.settled);
  });

  test("CT9 a file that is deleted and made anew here goes as both, one after the other", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.run(script.client.deleteFile("f"));
    script.run(script.client.createFile("f", "new"));
    script.remoteEdit(2, 2, { changes: [{ from: 0, to: 3, insert: "" }] });
    assert.equal(script.text(), "new");
    script.ack(1, 3, 3);
    script.ack(2, 4, 4);
    script.ack(3, 5, 5);
    assert.deepEqual(script.numbers(), ["1 f@1 0-0:1", "2 f@3 deleted", "3 f@0 0-0:new"]);
    assert.equal(script.text(), "new");
  });

  test("CT9 of two who make a file the second is told, with its text", () => {
    const script = Script.live();
    script.type(0, "mine", 0, "g");
    script.type(4, "!", 4, "g");
    script.remoteEdit(2, 1, { filePath: "g", changes: [{ from: 0, to: 0, insert: "theirs" }] });
    script.fault("FILE_EXISTS", 1);
    assert.equal(script.text("g"), "theirs");
    assert.equal(script.told("lost-file")[0]?.text.toString(), "theirsmine!");
    assert.equal(script.told("refused")[0]?.reason, "FILE_EXISTS");
    assert.ok(script.client.settled);
  });

  test("CT9 a file that was made before the first Welcome and is there already stays as it is there", () => {
    const script = new Script();
    script.type(0, "mine");
    script.client.join();
    script.welcome({ outcome: Outcome.NEW, headSeq: 1n });
    script.get({
      case: "snapshot",
      value: { seq: 1n, epoch: "e1", files: [{ filePath: "f", version: 1, content: "theirs" }] },
    });
    assert.equal(script.text(), "theirs");
    assert.equal(script.told("lost-file")[0]?.text.toString(), "mine");
    assert.deepEqual([script.client.settled, script.sent], [true, []]);
  });

  test("CT9 of two who delete a file the second may make it anew as soon as that is answered", () => {
    const script = Script.live("abc");
    script.run(script.client.deleteFile("f"));
    script.remoteEdit(2, 2, { deleted: true, changes: [{ from: 0, to: 3, insert: "" }] });
    script.run(script.client.createFile("f", "new"));
    script.fault("FILE_DELETED", 1);
    assert.deepEqual(script.numbers(), ["1 f@1 deleted", "1 f@0 0-0:new"]);
    assert.equal(script.text(), "new");
  });

  test("CT9 what cannot be said is refused here, and nothing is sent", () => {
    const script = Script.live("😀");
    script.type(1, "x");
    script.type(0, "x", 0, "bad\npath");
    script.run(script.client.createFile("f"));
    script.run(script.client.deleteFile("nowhere"));
    script.run(script.client.putComment({ id: "c", path: "f", line: 2, text: "" }));
    script.run(script.client.putComment({ id: "c", path: "nowhere", line: 1, text: "" }));
    const reasons = script.told("refused").map(({ reason }) => reason);
    const [file, comment] = [
      ["FILE_EXISTS", "FILE_NOT_FOUND"],
      ["COMMENT_INVALID", "FILE_NOT_FOUND"],
    ];
    assert.deepEqual(reasons, ["EDIT_OUT_OF_RANGE", "PATH_INVALID", ...file, ...comment]);
    assert.deepEqual(script.sent, []);
    assert.throws(() => script.client.edit("f", changeSet(7, [])), RangeError);
  });

  test("CT10 a cursor names a place of the text that others have", () => {
    const script = Script.live("ab\ncd");
    script.type(0, "12\n3");
    script.clear();
    script.run(script.client.cursor("f", { head: 8, anchor: 1 }));
    const [sent] = script.sent;
    assert.ok(sent?.payload.case === "cursor");
    const { line, column, version, anchorLine, anchorColumn } = sent.payload.value;
    assert.deepEqual(
      { line, column, version, anchorLine, anchorColumn },
      { line: 2, column: 1, version: 1, anchorLine: 1, anchorColumn: 0 },
    );
  });
});

describe("comments", () => {
  test("CT11 a comment on text that is not logged waits for it and keeps to its line", () => {
    const script = Script.live("a\nb");
    script.type(3, "\nc");
    script.type(5, "\nd");
    script.run(script.client.putComment({ id: "x", path: "f", line: 4, text: "on d" }));
    script.run(script.client.resolveComment("x"));
    script.type(0, "0\n");
    script.ack(1, 2, 2);
    script.remoteEdit(3, 3, { changes: [{ from: 0, to: 0, insert: "r\n" }] });
    assert.equal(script.text(), "r\n0\na\nb\nc\nd");
    assert.deepEqual(script.numbers(), ["1 f@1 3-3:\nc", "2 f@2 0-0:0\n,5-5:\nd"]);
    script.ack(2, 4, 4);
    assert.deepEqual(script.numbers().slice(2), ["3 comment x 6@4", "4 comment x 0@0"]);
    script.ack(3, 5);
    assert.equal(script.client.comment("x")?.line, 6);
    assert.equal(script.client.comment("x")?.userId, "ann");
    script.remoteEdit(6, 5, { changes: [{ from: 0, to: 2, insert: "" }] });
    script.ack(4, 7);
    assert.deepEqual([script.client.comment("x")?.line, script.client.comment("x")?.resolved], [5, true]);
  });

  test("CT11 an own edit moves comments in the form in which the log has it", () => {
    const script = Script.live("ab\ncdEF");
    script.remote(2, { case: "comment", value: { commentId: "x", filePath: "f", lineNumber: 2, version: 1 } });
    const changes = [
      { from: 2, to: 4, insert: "" },
      { from: 6, to: 6, insert: "X\n" },
    ];
    script.run(script.client.edit("f", changeSet(7, changes)));
    script.remoteEdit(3, 2, { changes: [{ from: 4, to: 6, insert: "" }] });
    script.ack(1, 4, 3);
    // The log has one replacement of 2-4, in the midst of which the line began; apart, the deletion would end it before.
    assert.equal(script.client.comment("x")?.line, 2);
  });

  test("CT11 where its text is never logged it goes all the same, at the line that is left", () => {
    const script = Script.live("a\nb");
    script.type(3, "\nc");
    script.run(script.client.putComment({ id: "x", path: "f", line: 3, text: "on c" }));
    script.fault("SCOPE_MISSING", 1);
    assert.deepEqual(script.numbers(), ["1 f@1 3-3:\nc", "1 comment x 2@1"]);
  });

  test("CT11 a buffer that comes to nothing lets its comments go", () => {
    const script = Script.live("ab");
    script.type(0, "1");
    script.type(0, "", 1);
    script.run(script.client.putComment({ id: "x", path: "f", line: 1, text: "" }));
    script.ack(1, 2, 2);
    script.ack(2, 3, 3);
    assert.deepEqual(script.numbers(), ["1 f@1 0-0:1", "2 f@2 0-1:", "3 comment x 1@3"]);
    script.clear();
    script.type(0, "9");
    script.type(0, "8");
    script.type(0, "", 1);
    script.run(script.client.putComment({ id: "y", path: "f", line: 1, text: "" }));
    script.ack(3, 4);
    script.ack(4, 5, 4);
    assert.deepEqual(script.numbers(), ["4 f@3 0-0:9", "5 comment y 1@4"]);
  });
});

describe("faults", () => {
  /** An edit, then two messages behind it. */
  function three(): Script {
    const script = Script.live("abc");
    script.type(3, "!");
    script.type(4, "?");
    script.run(script.client.custom("x", Uint8Array.of(1)));
    script.run(script.client.custom("x", Uint8Array.of(2)));
    assert.deepEqual(script.numbers(), ["1 f@1 3-3:!", "2 custom 1", "3 custom 2"]);
    script.sent = [];
    return script;
  }

  test("CT12 DROP takes the message back, frees its number, and what was behind it goes again as its refusal comes", () => {
    const script = three();
    script.fault("EDIT_TOO_LARGE", 1);
    assert.equal(script.text(), "abc?");
    assert.deepEqual(script.told("text")[0]?.changes.toJSON(), changeSet(5, [{ from: 3, to: 4, insert: "" }]).toJSON());
    const [refused] = script.told("refused");
    assert.equal(refused?.reason, "EDIT_TOO_LARGE");
    assert.ok(refused?.payload.case === "edit" && refused.payload.value.changes[0]?.insert === "!");
    assert.deepEqual(script.numbers(), [], "a number stands for one content at a time");
    script.fault("OUT_OF_ORDER", 2);
    assert.deepEqual(script.numbers(), ["1 custom 1"]);
    script.fault("OUT_OF_ORDER", 3);
    assert.deepEqual(script.numbers(), ["1 custom 1", "2 custom 2", "3 f@1 3-3:?"]);
    script.ack(1, 2);
    script.ack(2, 3);
    script.ack(3, 4, 2);
    assert.ok(script.client.settled);
  });

  test("CT12 a late refusal under a number that has another owner now is not taken for its own", () => {
    const script = three();
    script.fault("EDIT_TOO_LARGE", 1);
    script.fault("OUT_OF_ORDER", 2);
    // The first custom message, now number 1, came in with the batch that holds the refusal of the second.
    script.ack(1, 2);
    script.fault("OUT_OF_ORDER", 3);
    assert.deepEqual(script.numbers(), ["1 custom 1", "2 custom 2", "3 f@1 3-3:?"]);
    assert.equal(script.next, undefined);
  });

  test("CT13 RETRY: the same number and content, after the time that was named, and nothing overtakes it", () => {
    const script = three();
    script.fault("CONTENTION", 1, 300);
    assert.equal(script.retryAfterMs, 300);
    script.fault("OUT_OF_ORDER", 2);
    script.fault("OUT_OF_ORDER", 3);
    script.run(script.client.custom("x", Uint8Array.of(3)));
    assert.deepEqual(script.numbers(), []);
    script.run(script.client.retry());
    assert.deepEqual(script.numbers(), ["1 f@1 3-3:!", "2 custom 1", "3 custom 2", "4 custom 3"]);
  });

  test("CT13 where no time is named the machine names one, longer each time, and one for all that were refused", () => {
    const script = three();
    const waits: (number | undefined)[] = [];
    for (let i = 0; i < 9; i++) {
      script.retryAfterMs = undefined;
      for (const number of [1, 2, 3]) script.fault("RATE_LIMITED", number);
      waits.push(script.retryAfterMs);
      script.run(script.client.retry());
    }
    assert.deepEqual(waits, [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  test("CT14 the next message called out of order is tried once more, then the counts are settled by a resync", () => {
    const script = Script.live();
    script.run(script.client.custom("x", Uint8Array.of(1)));
    script.fault("OUT_OF_ORDER", 1);
    assert.deepEqual(script.numbers(), ["1 custom 1", "1 custom 1"]);
    script.fault("OUT_OF_ORDER", 1);
    assert.deepEqual(script.next, { kind: "reconnect", mode: "resync", afterMs: 0, reauthenticate: false });
  });

  test("CT14 a number that the log has something else under: the message stays and gets another", () => {
    const script = Script.live();
    script.run(script.client.custom("x", Uint8Array.of(1)));
    script.fault("CLIENT_SEQ_REUSED", 1);
    assert.equal(script.next?.kind === "reconnect" && script.next.mode, "resync");
    script.sent = [];
    assert.equal(joinOf(script).resumeToken, "");
    script.welcome({ outcome: Outcome.NEW, headSeq: 2n, lastClientSeq: 1n });
    script.get({ case: "snapshot", value: { seq: 2n, epoch: "e1" } });
    assert.deepEqual(script.numbers(), ["2 custom 1"]);
  });

  test("CT15 each end of a stream says what is next", () => {
    const next = (end: (script: Script) => void) => {
      const script = Script.live();
      end(script);
      assert.equal(script.client.phase.kind, script.next?.kind === "stop" ? "stopped" : "offline");
      return script.next;
    };
    const reconnect = { kind: "reconnect", mode: "resume", afterMs: 0, reauthenticate: false };
    assert.deepEqual(
      next((s) => s.run(s.client.ended())),
      reconnect,
    );
    assert.deepEqual(
      next((s) => s.run(s.client.ended({ code: "unavailable" }))),
      reconnect,
    );
    assert.deepEqual(
      next((s) => s.run(s.client.ended({ code: "unauthenticated" }))),
      { ...reconnect, reauthenticate: true },
    );
    assert.equal(next((s) => s.run(s.client.ended({ code: "unimplemented" })))?.kind, "stop");
    assert.deepEqual(
      next((s) => endWith(s, "SESSION_FULL", 10_000)),
      { ...reconnect, afterMs: 10_000 },
    );
    assert.deepEqual(
      next((s) => endWith(s, "TOKEN_EXPIRED")),
      { ...reconnect, reauthenticate: true },
    );
    for (const reason of ["EPOCH_CHANGED", "RESUME_TOKEN_INVALID"] as const) {
      assert.deepEqual(
        next((s) => endWith(s, reason)),
        { ...reconnect, mode: "resync" },
      );
    }
    assert.deepEqual(
      next((s) => s.fault("STALE_VERSION", 0)),
      { ...reconnect, mode: "resync" },
    );
    for (const reason of ["DISCONNECTED", "SESSION_FORBIDDEN", "LOG_DAMAGED"] as const) {
      assert.equal(next((s) => endWith(s, reason))?.kind, "stop");
    }
    assert.deepEqual(
      next((s) => endWith(s, "SUPERSEDED")),
      { kind: "renew-client", fromSeq: 2 },
    );
    const drained = (s: Script) => {
      s.get({ case: "goAway", value: { reason: 1, reconnectAfterMs: 750n } });
      endWith(s, "DRAIN");
    };
    assert.deepEqual(next(drained), { ...reconnect, afterMs: 750 });
  });
});

describe("joining", () => {
  test("CT16 nothing is sent before the Welcome and what it promises; then work done before goes on top of it", () => {
    const script = new Script({ clientName: "t/1" });
    script.type(0, "mine", 0, "g");
    const join = joinOf(script);
    assert.deepEqual([join.clientId, join.clientName, join.resumeToken, join.pendingFrom], ["me", "t/1", "", 0n]);
    script.welcome({ outcome: Outcome.NEW, headSeq: 3n, lastClientSeq: 4n });
    script.get({
      case: "snapshot",
      value: { seq: 3n, epoch: "e1", more: true, files: [{ filePath: "f", version: 2, content: "a" }] },
    });
    assert.deepEqual(script.numbers(), []);
    script.get({
      case: "snapshot",
      value: { seq: 3n, epoch: "e1", files: [{ filePath: "f", version: 2, content: "b", offset: 1 }] },
    });
    assert.deepEqual(script.numbers(), ["5 g@0 0-0:mine"]);
    assert.equal(script.text(), "ab");
    assert.equal(script.client.lastSeq, 3);
  });

  test("CT16 FULL and LIVE: from the first record, and from the head; own records of a time forgotten are counted", () => {
    const full = new Script({ history: History.FULL });
    assert.equal(joinOf(full).history, History.FULL);
    full.welcome({ outcome: Outcome.NEW, headSeq: 2n });
    full.remoteEdit(1, 1, { changes: [{ from: 0, to: 0, insert: "x" }] });
    full.get({ case: "custom", value: { type: "t" } }, { seq: 2, clientSeq: 1 });
    assert.equal(full.client.phase.kind, "live");
    full.type(0, "y");
    assert.deepEqual(full.numbers(), ["2 f@1 0-0:y"]);
    const live = new Script({ history: History.LIVE });
    live.client.join();
    live.welcome({ outcome: Outcome.NEW, headSeq: 7n });
    live.remote(8, { case: "custom", value: { type: "t" } });
    assert.deepEqual([live.client.lastSeq, live.told("custom").length], [8, 1]);
  });

  test("CT17 RESUMED: what the log has is acked by what follows, the rest goes again as it was, under its numbers", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.type(0, "2", 0, "g");
    script.run(script.client.custom("x", Uint8Array.of(1)));
    script.remoteEdit(2, 2, { changes: [{ from: 0, to: 0, insert: "R" }] });
    const [first, second, third] = script.sent;
    script.run(script.client.ended());
    script.clear();
    const join = joinOf(script);
    assert.deepEqual([join.resumeToken, join.lastSeq, join.pendingFrom], ["t1", 2n, 1n]);
    script.welcome({ outcome: Outcome.RESUMED, headSeq: 3n, lastClientSeq: 1n, resumeToken: "t2" });
    assert.ok(sameMessage(script.sent[0], second) && sameMessage(script.sent[1], third) && first !== undefined);
    assert.equal(script.sent.length, 2);
    script.ack(1, 3, 3);
    script.ack(2, 4, 1);
    script.ack(3, 5);
    assert.ok(script.client.settled);
    assert.equal(script.text(), "R1abc");
    assert.equal(script.client.resumeToken, "t2");
  });

  test("CT18 RESYNCED: what is in the snapshot leaves the queue, the rest is put on it and numbered on", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.type(4, "2");
    script.run(script.client.custom("x", Uint8Array.of(1)));
    script.run(script.client.ended());
    script.clear();
    script.client.join();
    script.welcome({ outcome: Outcome.RESYNCED, headSeq: 9n, lastClientSeq: 1n, epoch: "e2", resumeToken: "t2" });
    const files = [
      { filePath: "f", version: 6, content: "1aXc" },
      { filePath: "new", version: 1, content: "n" },
    ];
    script.get({ case: "snapshot", value: { seq: 9n, epoch: "e2", files } });
    assert.equal(script.text(), "1aXc2");
    assert.deepEqual(script.numbers(), ["2 custom 1", "3 f@6 4-4:2"]);
    assert.deepEqual(
      script.told("text").map(({ path, changes }) => [path, changes.toJSON()]),
      [
        ["f", changeSet(5, [{ from: 2, to: 3, insert: "X" }]).toJSON()],
        ["new", changeSet(0, [{ from: 0, to: 0, insert: "n" }]).toJSON()],
      ],
    );
    assert.deepEqual([script.client.epoch, script.client.lastSeq], ["e2", 9]);
  });

  test("CT18 an edit that is not in the snapshot goes anew, on its version, in the form in which it was sent", () => {
    const script = Script.live("abcdef");
    script.run(
      script.client.edit(
        "f",
        changeSet(6, [
          { from: 0, to: 2, insert: "" },
          { from: 4, to: 4, insert: "!" },
        ]),
      ),
    );
    script.run(script.client.putComment({ id: "c", path: "f", line: 1, text: "" }));
    script.run(script.client.ended({ code: "aborted", fault: create(FaultSchema, faultValue("EPOCH_CHANGED")) }));
    script.clear();
    const join = joinOf(script);
    assert.deepEqual([join.resumeToken, join.history, join.pendingFrom], ["", History.SNAPSHOT, 1n]);
    script.welcome({ outcome: Outcome.NEW, headSeq: 4n, lastClientSeq: 0n, epoch: "e2" });
    script.get({
      case: "snapshot",
      value: { seq: 4n, epoch: "e2", files: [{ filePath: "f", version: 3, content: "a\nXdef" }] },
    });
    assert.deepEqual(script.numbers(), ["1 f@3 0-1:,4-4:!"]);
    assert.equal(script.text(), "\nXd!ef");
  });

  test("CT18 a file that is gone in the snapshot: its work is given to the application, nothing of it is sent", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.type(0, "2");
    script.run(script.client.ended());
    script.clear();
    script.client.join();
    script.welcome({ outcome: Outcome.RESYNCED, headSeq: 4n });
    script.get({ case: "snapshot", value: { seq: 4n, epoch: "e1" } });
    assert.equal(script.told("lost-file")[0]?.text.toString(), "21abc");
    assert.deepEqual([script.text(), script.client.settled, script.sent], [undefined, true, []]);
  });

  test("CT18 an edit whose file was deleted before the cut leaves the queue with a snapshot in which it is made anew", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.remoteEdit(2, 2, { deleted: true, changes: [{ from: 0, to: 3, insert: "" }] });
    script.run(script.client.ended());
    script.clear();
    script.client.join();
    script.welcome({ outcome: Outcome.RESYNCED, headSeq: 4n });
    script.get({
      case: "snapshot",
      value: { seq: 4n, epoch: "e1", files: [{ filePath: "f", version: 3, content: "new" }] },
    });
    assert.deepEqual([script.text(), script.client.settled, script.sent], ["new", true, []]);
  });

  test("CT19 a snapshot that was cut counts for nothing: the next join goes on from where it was", () => {
    const script = Script.live("abc");
    script.run(script.client.ended());
    script.client.join();
    script.welcome({ outcome: Outcome.RESYNCED, headSeq: 9n, epoch: "e2", resumeToken: "t2" });
    script.get({ case: "snapshot", value: { seq: 9n, epoch: "e2", more: true } });
    script.run(script.client.ended());
    const join = joinOf(script);
    assert.deepEqual([join.resumeToken, join.lastSeq, script.client.epoch], ["t1", 1n, "e1"]);
  });

  test("CT19 a snapshot on a living stream with work on its way: a new stream tells what is in it", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.welcome({ outcome: Outcome.RESYNCED, headSeq: 9n });
    assert.equal(script.next?.kind === "reconnect" && script.next.mode, "resync");
    const quiet = Script.live("abc");
    quiet.welcome({ outcome: Outcome.RESYNCED, headSeq: 9n });
    quiet.type(3, "!");
    assert.deepEqual(quiet.numbers(), []);
    quiet.get({
      case: "snapshot",
      value: { seq: 9n, epoch: "e1", files: [{ filePath: "f", version: 4, content: "ab" }] },
    });
    assert.deepEqual(quiet.numbers(), ["1 f@4 2-2:!"]);
  });
});

describe("the log's order", () => {
  const broken = (script: Script) => {
    assert.equal(script.told("protocol-error").length, 1);
    assert.equal(script.next?.kind === "reconnect" && script.next.mode, "resync");
    assert.deepEqual(script.told("text"), []);
  };

  test("CT20 a gap, a repeat, a version left out and an edit that does not fit are surfaced and never applied", () => {
    const changes = [{ from: 0, to: 1, insert: "x" }];
    for (const [seq, version, change] of [
      [3, 2, changes],
      [1, 2, changes],
      [2, 3, changes],
      [2, 2, [{ from: 2, to: 9, insert: "" }]],
    ] as const) {
      const script = Script.live("abc");
      script.remoteEdit(seq, version, { changes: [...change] });
      broken(script);
      assert.deepEqual([script.text(), script.client.lastSeq], ["abc", 1]);
      script.remoteEdit(2, 2, { changes });
      assert.equal(script.text(), "abc", "the stream is done with");
    }
  });

  test("CT20 a record among a snapshot's parts, an unknown ack, parts of two snapshots", () => {
    const early = Script.live("abc");
    early.welcome({ outcome: Outcome.RESYNCED, headSeq: 9n });
    early.remoteEdit(2, 2, {});
    broken(early);
    const unknown = Script.live();
    unknown.ack(1, 2, 2);
    broken(unknown);
    const mixed = Script.live();
    mixed.welcome({ outcome: Outcome.RESYNCED, headSeq: 9n });
    mixed.get({ case: "snapshot", value: { seq: 9n, epoch: "e1", more: true } });
    mixed.get({ case: "snapshot", value: { seq: 8n, epoch: "e1" } });
    broken(mixed);
    const foreign = Script.live();
    foreign.welcome({ outcome: Outcome.RESYNCED, headSeq: 9n });
    foreign.get({ case: "snapshot", value: { seq: 9n, epoch: "e2" } });
    broken(foreign);
  });

  test("CT21 an ack without a place, or ahead of the stream, leaves the message where it is until its turn", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.ack(1, 0);
    script.ack(1, 3, 3);
    assert.deepEqual([script.client.lastSeq, script.client.settled], [1, false]);
    script.remoteEdit(2, 2, { changes: [{ from: 0, to: 0, insert: "R" }] });
    script.ack(1, 3, 3);
    script.ack(1, 3, 3);
    assert.deepEqual([script.client.lastSeq, script.client.settled, script.next], [3, true, undefined]);
  });

  test("CT21 an own record that comes whole while it is pending is its ack", () => {
    const script = Script.live("abc");
    script.type(0, "1");
    script.get(
      { case: "edit", value: { filePath: "f", version: 2, changes: [{ from: 0, to: 0, insert: "1" }] } },
      { seq: 2, clientSeq: 1 },
    );
    assert.deepEqual([script.text(), script.client.settled], ["1abc", true]);
  });

  test("CT22 Publish: its acks say durable, what it did not answer goes again, the order is the stream's", () => {
    const script = Script.live();
    for (const n of [1, 2, 3]) script.run(script.client.custom("x", Uint8Array.of(n)));
    script.sent = [];
    const reply = { case: "ack", value: { clientSeq: 1n, seq: 2n } } as const;
    script.run(script.client.receiveReply(message(reply), 1));
    const fault = { case: "fault", value: faultValue("RATE_LIMITED", 2, 40) } as const;
    script.run(script.client.receiveReply(message(fault), 1));
    script.run(script.client.publishEnded([1, 2, 3]));
    assert.deepEqual([script.numbers(), script.retryAfterMs, script.client.lastSeq], [[], 40, 1]);
    script.run(script.client.retry());
    assert.deepEqual(script.numbers(), ["2 custom 2", "3 custom 3"]);
    script.ack(1, 2);
    assert.equal(script.client.lastSeq, 2);
  });

  test("CT23 no more is unacked than the relay allows, but one message always goes", () => {
    const script = new Script();
    for (const n of [1, 2, 3]) script.run(script.client.custom("x", new Uint8Array(900).fill(n, 0, 1)));
    script.client.join();
    script.welcome({ outcome: Outcome.NEW, limits: { maxUnackedBytes: 2_500 } });
    script.get({ case: "snapshot", value: { epoch: "e1" } });
    assert.equal(script.sent.length, 2);
    script.ack(1, 1);
    assert.equal(script.sent.length, 3);
    const small = new Script();
    small.run(small.client.custom("x", new Uint8Array(900)));
    small.client.join();
    small.welcome({ outcome: Outcome.NEW, limits: { maxUnackedBytes: 10 } });
    small.get({ case: "snapshot", value: { epoch: "e1" } });
    assert.equal(small.sent.length, 1);
  });
});

describe("another stream took over", () => {
  /** Two messages sent and not acked, one edit not sent; then SUPERSEDED. */
  function superseded(): Script {
    const script = Script.live("abc");
    script.type(0, "1");
    script.type(4, "2");
    script.run(script.client.custom("x", Uint8Array.of(7)));
    endWith(script, "SUPERSEDED");
    script.clear();
    return script;
  }

  function rejoin(script: Script, content: string, version: number): void {
    const join = joinOf(script);
    assert.deepEqual([join.clientId, join.resumeToken, join.history], ["me-2", "", History.SNAPSHOT]);
    script.welcome({ outcome: Outcome.NEW, headSeq: 5n, clientId: "me-2" });
    script.get({ case: "snapshot", value: { seq: 5n, epoch: "e1", files: [{ filePath: "f", version, content }] } });
  }

  test("CT24 with the log's tail it is known what arrived; the rest is numbered from 1 under the new id", () => {
    const script = superseded();
    const tail = [
      message(
        { case: "edit", value: { filePath: "f", version: 2, changes: [{ from: 0, to: 0, insert: "R" }] } },
        { seq: 2 },
      ),
      message(
        { case: "edit", value: { filePath: "f", version: 3, changes: [{ from: 1, to: 1, insert: "1" }] } },
        { seq: 3, clientSeq: 1, clientId: "me", userId: "ann" },
      ),
      // The other stream's, under the number of the one here.
      message(
        { case: "custom", value: { type: "x", data: Uint8Array.of(8) } },
        { seq: 4, clientSeq: 2, clientId: "me", userId: "ann" },
      ),
    ];
    script.run(script.client.renew("me-2", tail));
    assert.equal(script.told("acked").length, 1);
    assert.equal(script.text(), "R1abc2");
    rejoin(script, "R1abc", 3);
    assert.equal(script.text(), "R1abc2");
    assert.deepEqual(script.numbers(), ["1 custom 7", "2 f@3 5-5:2"]);
  });

  test("CT24 the other stream's edit under the same number is not taken for one's own", () => {
    const script = superseded();
    const tail = [
      message(
        { case: "edit", value: { filePath: "f", version: 2, changes: [{ from: 3, to: 3, insert: "?" }] } },
        { seq: 2, clientSeq: 1, clientId: "me", userId: "ann" },
      ),
    ];
    script.run(script.client.renew("me-2", tail));
    rejoin(script, "abc?", 2);
    assert.deepEqual(script.numbers(), ["1 f@2 0-0:1", "2 custom 7"]);
    assert.equal(script.text(), "1abc?2");
  });

  test("CT24 without it nothing goes twice: what may have arrived is given to the application, what was not sent goes", () => {
    const script = superseded();
    script.run(script.client.renew("me-2"));
    assert.deepEqual(
      script.told("uncertain").map(({ payload }) => payload.case),
      ["edit", "custom"],
    );
    assert.equal(script.text(), "abc2");
    rejoin(script, "1abc", 2);
    assert.deepEqual([script.text(), script.numbers()], ["1abc2", ["1 f@2 4-4:2"]]);
  });
});

describe("signs of life", () => {
  test("CT25 a heartbeat is answered with its echo, an answer is not, and none before the Join", () => {
    const script = new Script();
    script.get({ case: "heartbeat", value: { sentAt: 5n } });
    assert.deepEqual(script.sent, []);
    const live = Script.live();
    live.get({ case: "heartbeat", value: { sentAt: 55n, echo: 3n } });
    live.get({ case: "heartbeat", value: { sentAt: 5n } });
    assert.equal(live.sent.length, 1);
    const payload = live.sent[0]?.payload;
    assert.ok(payload?.case === "heartbeat");
    const { sentAt, echo, receivedSeq, receivedBytes } = payload.value;
    assert.deepEqual([sentAt, echo, receivedSeq, receivedBytes], [100n, 5n, 1n, 4_000n]);
  });

  test("CT26 the roster: the Welcome's, then presence and cursors; ephemerals go when live or never", () => {
    const script = new Script();
    script.run(script.client.presence(1, "Ann"));
    script.run(script.client.custom("x", new Uint8Array(), true));
    script.client.join();
    script.welcome({
      outcome: Outcome.NEW,
      participants: [{ userId: "bob", clientId: "b", displayName: "Bob", status: 1 }],
    });
    script.get({ case: "snapshot", value: { epoch: "e1" } });
    assert.deepEqual(script.sent, []);
    script.get({ case: "cursor", value: { filePath: "f", line: 3 } }, { userId: "bob", clientId: "b" });
    script.get({ case: "presence", value: { status: 0, displayName: "Cy" } }, { userId: "cy", clientId: "c" });
    script.get({ case: "presence", value: { status: 2 } }, { userId: "cy", clientId: "c" });
    const roster = [...script.client.roster()].map(({ displayName, status, cursor }) => [
      displayName,
      status,
      cursor?.line,
    ]);
    assert.deepEqual(roster, [
      ["Bob", 1, 3],
      ["Cy", 2, undefined],
    ]);
    script.get({ case: "presence", value: { status: 3 } }, { userId: "bob", clientId: "b" });
    assert.deepEqual(
      [...script.client.roster()].map(({ userId }) => userId),
      ["cy"],
    );
    script.run(script.client.presence(1, "Ann"));
    assert.deepEqual(script.numbers(), ["0 presence"]);
  });

  test("CT26 a token's state, a GoAway and a fault about nothing sent are passed on", () => {
    const script = Script.live();
    script.get({ case: "tokenStatus", value: { state: 1, scopes: ["session:read"] } });
    script.get({ case: "goAway", value: { reason: 1 } });
    script.fault("SCOPE_MISSING", 0);
    script.fault("ROTATION_REJECTED", 0);
    assert.deepEqual(
      script.events.map(({ kind }) => kind),
      ["token-status", "go-away", "fault", "fault"],
    );
    assert.deepEqual([script.client.scopes, script.client.phase.kind], [["session:read"], "live"]);
  });
});
