import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CodeEditSchema,
  type SessionMessage,
  SessionMessageSchema,
  PresenceUpdate_Status as Status,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { OriginalView } from "../../../src/session/original/view.ts";

import { nameOf } from "../support.ts";

type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;

const from = (userId: string, payload: Payload, fields: { clientId?: string; clientSeq?: bigint } = {}) =>
  create(SessionMessageSchema, { sessionId: "s", userId, clientId: "c", timestamp: 7n, seq: 9n, ...fields, payload });
const change = (version: number, at: number, to: number, insert: string): Payload => ({
  case: "edit",
  value: { filePath: "a.ts", version, changes: [{ from: at, to, insert }] },
});

class Told {
  readonly view = new OriginalView("me", "mine");

  /** What is told of these, as short as it can be written. */
  of(...messages: SessionMessage[]): string[] {
    return [...this.view.tell(messages)].flatMap((told) => (told === undefined ? [] : [briefly(told)]));
  }

  /** An edit of its own: sent as a line, logged as a range. */
  own(clientSeq: number, sent: { lineNumber: number; content: string; version: number }, record: Payload): string[] {
    this.view.sent(clientSeq, create(CodeEditSchema, { filePath: "a.ts", ...sent }));
    return this.of(from("me", record, { clientId: "mine", clientSeq: BigInt(clientSeq) }));
  }
}

function briefly({ userId, payload }: SessionMessage): string {
  switch (payload.case) {
    case "edit":
      return `${payload.value.version}:${payload.value.lineNumber}=${payload.value.content}`;
    case "presence":
      return `${userId} ${nameOf(Status, payload.value.status)}`;
    default:
      return `${userId} ${payload.case}`;
  }
}

describe("what a client of the original contract is told", () => {
  test("OC4 the lines that differ, and no other", () => {
    const told = new Told();
    assert.deepEqual(told.of(from("a", change(1, 0, 0, "1\n\n\n4"))), ["1:1=1", "1:2=", "1:3=", "1:4=4"]);
    assert.deepEqual(told.of(from("a", change(2, 1, 1, "!"))), ["2:1=1!"]);
    // A line more: the empty ones are as before.
    assert.deepEqual(told.of(from("a", change(3, 2, 2, "\n"))), ["3:4=", "3:5=4"]);
    // A line less: what is gone is empty.
    assert.deepEqual(told.of(from("a", change(4, 2, 3, ""))), ["4:4=4", "4:5="]);
    assert.deepEqual(told.of(from("a", change(5, 5, 6, "four\nfive"))), ["5:4=four", "5:5=five"]);
    assert.deepEqual(told.of(from("a", change(6, 0, 0, ""))), []);
  });

  test("OC4 two changes of which one makes a line and the other takes one tell what lies between, too", () => {
    const told = new Told();
    told.of(from("a", change(1, 0, 0, "1\n2\n3\n4")));
    const changes = [
      { from: 0, to: 0, insert: "0\n" },
      { from: 3, to: 5, insert: "" },
    ];
    const both = from("a", { case: "edit", value: { filePath: "a.ts", version: 2, changes } });
    assert.deepEqual(told.of(both), ["2:1=0", "2:2=1", "2:3=2"]);
  });

  test("OC4 a new file is told, also an empty one; a deleted one is empty lines, and its version is told", () => {
    const told = new Told();
    assert.deepEqual(told.of(from("a", change(1, 0, 0, ""))), ["1:1="]);
    const deleted: Payload = {
      case: "edit",
      value: { filePath: "a.ts", version: 2, deleted: true, changes: [{ from: 0, to: 0, insert: "" }] },
    };
    assert.deepEqual(told.of(from("a", deleted)), ["2:1="]);
    assert.deepEqual(told.of(from("a", change(3, 0, 0, "x\ny"))), ["3:1=x", "3:2=y"]);
    const again: Payload = {
      case: "edit",
      value: { filePath: "a.ts", version: 4, deleted: true, changes: [{ from: 0, to: 3, insert: "" }] },
    };
    assert.deepEqual(told.of(from("a", again)), ["4:1=", "4:2="]);
    assert.equal(told.view.linesShown("a.ts"), 2);
    assert.equal(told.view.linesShown("b.ts"), 0);
  });

  test("OC4 edits that are at hand together are told together where each would take many lines", () => {
    const lines = (count: number) => Array.from({ length: count }, (_, index) => `${index}`).join("\n");
    for (const [count, together] of [
      [64, false],
      [65, true],
    ] as const) {
      const told = new Told();
      const all = told.of(
        from("a", change(1, 0, 0, lines(count))),
        from("a", { case: "cursor", value: {} }),
        from("b", change(2, 0, 0, "x")),
      );
      assert.equal(all.length, together ? count + 1 : count + 2);
      assert.equal(all.at(-1), together ? `2:${count}=${count - 1}` : "2:1=x0");
      assert.equal(all.indexOf("a cursor"), together ? 0 : count);
      assert.deepEqual(told.of(from("b", change(3, 0, 1, ""))), ["3:1=0"]);
    }
  });

  test("OC6 its own edit only where it had not been told of the newest version by others", () => {
    const told = new Told();
    assert.deepEqual(told.own(1, { lineNumber: 1, content: "1", version: 0 }, change(1, 0, 0, "1")), []);
    assert.deepEqual(told.own(2, { lineNumber: 2, content: "2", version: 0 }, change(2, 1, 1, "\n2")), []);
    assert.deepEqual(told.of(from("a", change(3, 0, 0, "0\n"))), ["3:1=0", "3:2=1", "3:3=2"]);
    // Made on 2: of its line 1 nobody knows what it shows.
    assert.deepEqual(told.own(3, { lineNumber: 1, content: "one", version: 2 }, change(4, 2, 3, "one")), [
      "4:1=0",
      "4:2=one",
    ]);
    // Made on 3: it has not been told of 4, which was its own, but came back.
    assert.deepEqual(told.own(4, { lineNumber: 3, content: "two", version: 3 }, change(5, 6, 7, "two")), ["5:3=two"]);
    assert.deepEqual(told.own(5, { lineNumber: 3, content: "deux", version: 5 }, change(6, 6, 9, "deux")), []);
    assert.deepEqual(told.own(6, { lineNumber: 3, content: "due", version: 5 }, change(7, 6, 10, "due")), []);
  });

  test("OC6 one with a line break comes back, and so does one of the same user's other device", () => {
    const told = new Told();
    assert.deepEqual(told.own(1, { lineNumber: 1, content: "1", version: 0 }, change(1, 0, 0, "1")), []);
    assert.deepEqual(told.own(2, { lineNumber: 1, content: "a\nb", version: 1 }, change(2, 0, 1, "a\nb")), [
      "2:1=a",
      "2:2=b",
    ]);
    assert.deepEqual(told.of(from("me", change(3, 0, 1, "c"))), ["3:1=c"]);
  });

  test("OC6 no comment, cursor or presence of its own", () => {
    const told = new Told();
    const fields = { clientId: "mine" };
    const payloads: Payload[] = [
      { case: "comment", value: { commentId: "c", userId: "a" } },
      { case: "cursor", value: {} },
      { case: "presence", value: {} },
    ];
    assert.deepEqual(told.of(...payloads.map((payload) => from("me", payload, fields))), []);
    assert.deepEqual(told.of(...payloads.map((payload) => from("a", payload))), ["a comment", "a cursor", "a ACTIVE"]);
  });

  test("OC11 users join with their first device and leave with their last", () => {
    const told = new Told();
    const says = (user: string, clientId: string, status: Status) =>
      told.of(from(user, { case: "presence", value: { status } }, { clientId }))[0];
    assert.equal(says("a", "1", Status.JOINED), "a JOINED");
    assert.equal(says("a", "2", Status.JOINED), "a ACTIVE");
    assert.equal(says("a", "2", Status.IDLE), "a IDLE");
    assert.equal(says("a", "1", Status.LEFT), undefined);
    assert.equal(says("a", "1", Status.LEFT), undefined);
    assert.equal(says("a", "2", Status.LEFT), "a LEFT");
    assert.equal(says("a", "2", Status.LEFT), undefined);
    assert.equal(says("a", "3", Status.JOINED), "a JOINED");
    assert.equal(says("me", "other", Status.JOINED), "me ACTIVE");
    assert.equal(says("me", "other", Status.LEFT), undefined);
    // Seen by a cursor alone, since what was not logged may be left out.
    told.of(from("b", { case: "cursor", value: {} }));
    assert.equal(says("b", "c", Status.LEFT), "b LEFT");
  });
});
