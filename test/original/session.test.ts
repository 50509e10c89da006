import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type SessionMessage, PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { textContent } from "../../src/session/text.ts";
import { edit, Stream } from "../relay/harness.ts";
import type { Carrier, OriginalClient } from "./client.ts";
import { type OriginalRelay, startRelay } from "./harness.ts";

let relay: OriginalRelay;
before(async () => {
  relay = await startRelay();
});
after(() => relay.stop());

let sessions = 0;
const newSession = () => `original-${++sessions}`;
const all: readonly Carrier[] = ["connect", "connect-json", "grpc-web", "grpc-js"];

const stateOf = (session: string, { relay: { rooms } } = relay) => rooms.present(session)?.state;
const textOf = (session: string, path: string, of = relay) => {
  const text = stateOf(session, of)?.files.get(path)?.text;
  return text === undefined ? undefined : textContent(text);
};
const isPresence = (user: string, status: Status) => (message: SessionMessage) =>
  message.userId === user && message.payload.case === "presence" && message.payload.value.status === status;
const editsOf = (client: OriginalClient) =>
  client.heard.flatMap(({ userId, payload }) => {
    if (payload.case !== "edit") return [];
    const { lineNumber, content, version } = payload.value;
    return [[userId, lineNumber, content, version]];
  });

describe("a client generated from the original proto", () => {
  for (const carrier of all) {
    test(`OC1 OC2 OC11 joins with its first message, edits, and is seen joining and leaving, over ${carrier}`, async () => {
      const session = newSession();
      const ours = await relay.join({ session, as: "ours" });
      await ours.take("welcome");
      const ann = await relay.enter(carrier, session, "ann");
      assert.ok(await ours.takeMessage("presence", isPresence("ann", Status.JOINED)));
      // What the original's own decoder makes of a heartbeat is a message without payload; some keep what they cannot read.
      await ann.until("the first frame", () => ann.first !== undefined);
      assert.ok(["heartbeat", undefined].includes(ann.first?.payload.case));
      ann.edit("a.ts", 1, "one");
      const { userId, seq, clientSeq } = await ours.takeMessage("edit");
      assert.deepEqual([userId, seq, clientSeq], ["ann", 1n, 1n]);
      ours.send(edit("a.ts", 1, 3, 3, "\ntwo"), { clientSeq: 1n });
      await ann.until("two", () => ann.text("a.ts") === "one\ntwo");
      ours.send(
        { case: "comment", value: { commentId: "c", filePath: "a.ts", lineNumber: 2, text: "why" } },
        { clientSeq: 2n },
      );
      ours.send({ case: "cursor", value: { filePath: "a.ts", line: 2, column: 1, anchorLine: 1 } });
      ours.send({ case: "custom", value: { type: "t" } }, { clientSeq: 3n });
      ours.send({ case: "presence", value: { status: Status.IDLE, displayName: "Our" } });
      await ann.until("idle", () => ann.shows.users.get("ours") === Status.IDLE);
      await ours.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.clientSeq === 3n);
      await ann.until("the comment", () => ann.shows.comments.has("c"));
      assert.deepEqual(ann.shows.comments.get("c"), { line: 2, text: "why", userId: "ours" });
      for (const message of ann.heard) {
        assert.deepEqual([message.sessionId, message.seq, message.clientId, message.clientSeq], [session, 0n, "", 0n]);
        assert.ok(message.timestamp > 0n && message.userId !== "");
        const { case: kind, value } = message.payload;
        if (kind === "edit") assert.deepEqual([value.changes, value.deleted], [[], false]);
        if (kind === "cursor")
          assert.deepEqual(
            [value.filePath, value.line, value.column, value.version, value.anchorLine],
            ["a.ts", 2, 1, 0, 0],
          );
        if (kind === "comment") assert.deepEqual([value.filePath, value.userId, value.timestamp], ["", "", 0n]);
        if (kind === "presence") assert.equal(value.displayName, "");
      }
      ann.finish();
      assert.deepEqual(await ann.ended, { code: "OK", fault: undefined });
      assert.ok(await ours.takeMessage("presence", isPresence("ann", Status.LEFT)));
    });
  }

  test("OC1 any of its messages joins, and counts as its first", async () => {
    const session = newSession();
    const ours = await relay.join({ session, as: "ours" });
    await ours.take("welcome");
    const ann = await relay.enter("connect", session, "ann", {
      edit: { file_path: "a.ts", line_number: 1, content: "at once", version: 0 },
    });
    assert.equal((await ours.takeMessage("edit")).userId, "ann");
    const bob = await relay.enter("grpc-js", session, "bob", {
      comment: { comment_id: "c", line_number: 1, text: "at once" },
    });
    assert.equal((await ours.take("comment")).filePath, "a.ts");
    await relay.enter("connect", session, "cyd", { cursor: { file_path: "a.ts", line: 1, column: 3 } });
    assert.equal((await ours.takeMessage("cursor")).userId, "cyd");
    await bob.until("the history", () => bob.text("a.ts") === "at once");
    await ann.until("the comment", () => ann.shows.comments.has("c"));
  });

  test("OC1 what the original does not have does not join, and later ends its stream", async () => {
    const session = newSession();
    const token = await relay.token({ sessions: [session] });
    for (const payload of [
      { case: "heartbeat", value: { sentAt: 1n } },
      { case: "custom", value: { type: "t" } },
      { case: "tokenRotation", value: { token: "t" } },
    ] as const) {
      const first = new Stream(relay.client(), token);
      first.send(payload, { sessionId: session });
      assert.equal((await first.ended).fault?.reason, "NOT_JOINED");
      const later = new Stream(relay.client(), token);
      later.send({ case: "presence", value: {} }, { sessionId: session });
      later.send(payload);
      assert.equal((await later.ended).fault?.reason, "NOT_JOINED");
    }
    const nothing = await relay.open("grpc-js", { sub: "ann", sessions: [session] });
    nothing.send({ session_id: session });
    assert.equal((await nothing.ended).fault?.reason, "NOT_JOINED");
  });

  test("OC3 gets the history: the log from its first record", async () => {
    const session = newSession();
    const ann = await relay.enter("grpc-js", session, "ann");
    ann.edit("a.ts", 1, "one", 0);
    ann.edit("a.ts", 2, "two", 0);
    ann.edit("a.ts", 1, "1", 0);
    ann.send({ comment: { comment_id: "c", line_number: 2, text: "why" } });
    await ann.until("it to be logged", () => stateOf(session)?.head === 4);
    const bob = await relay.enter("connect", session, "bob");
    await bob.until("the comment", () => bob.shows.comments.has("c"));
    assert.deepEqual(editsOf(bob), [
      ["ann", 1, "one", 1],
      ["ann", 2, "two", 2],
      ["ann", 1, "1", 3],
    ]);
    assert.deepEqual(bob.shows.comments.get("c"), { line: 2, text: "why", userId: "ann" });
    assert.equal(bob.shows.users.get("ann"), Status.JOINED);
  });

  test("OC3 where the log was trimmed, what is missing comes as lines and comments", async () => {
    const trimming = await startRelay({
      snapshotRecords: 5,
      logRecords: 10,
      messagesPerSecond: 1e6,
      messagesBurst: 1e6,
    });
    try {
      const ours = await trimming.join({ as: "ours" });
      ours.send(edit("a.ts", 0, 0, 0, "one\n\ntwo"), { clientSeq: 1n });
      ours.send(
        { case: "comment", value: { commentId: "c", filePath: "a.ts", lineNumber: 3, text: "why" } },
        { clientSeq: 2n },
      );
      await ours.take("ack");
      await ours.take("ack");
      for (let n = 1; n <= 40; n++) {
        ours.send(edit("a.ts", n, 0, 0, "x"), { clientSeq: BigInt(n + 2) });
        await ours.take("ack");
      }
      for (let kept = 0; kept <= 2; kept = (await trimming.log.describe("demo"))?.first ?? 0) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      for (const carrier of all) {
        const late = await trimming.enter(carrier, "demo", `late ${carrier}`);
        await late.until("the text", () => late.text("a.ts") === `${"x".repeat(40)}one\n\ntwo`);
        assert.deepEqual(late.shows.comments.get("c"), { line: 3, text: "why", userId: "ours" });
        const [first] = editsOf(late);
        assert.equal(first?.[0], "system");
        assert.ok(editsOf(late).some(([userId]) => userId === "ours"));
        late.edit("a.ts", 2, "two of it");
        await late.until("its line", () => textOf("demo", "a.ts", trimming)?.split("\n")[1] === "two of it");
        late.edit("a.ts", 2, "");
        await late.until("its line", () => textOf("demo", "a.ts", trimming)?.split("\n")[1] === "");
      }
    } finally {
      await trimming.stop();
    }
  });

  test("OC4 an edit of several lines is told line by line, and all lines behind where their number changes", async () => {
    const session = newSession();
    const ann = await relay.enter("grpc-js", session, "ann");
    const ours = await relay.join({ session, as: "ours" });
    ours.send(edit("a.ts", 0, 0, 0, "1\n2\n3\n4"), { clientSeq: 1n });
    ours.send(edit("a.ts", 1, 2, 5, "two\nthree"), { clientSeq: 2n });
    await ann.until("the text", () => ann.text("a.ts") === "1\ntwo\nthree\n4");
    assert.deepEqual(editsOf(ann).slice(4), [
      ["ours", 2, "two", 1],
      ["ours", 3, "three", 2],
    ]);
    ours.send(edit("a.ts", 2, 1, 1, "\nnew"), { clientSeq: 3n });
    await ann.until("the text", () => ann.text("a.ts") === "1\nnew\ntwo\nthree\n4");
    assert.deepEqual(editsOf(ann).slice(6), [
      ["ours", 2, "new", 2],
      ["ours", 3, "two", 2],
      ["ours", 4, "three", 2],
      ["ours", 5, "4", 3],
    ]);
    ours.send(edit("a.ts", 3, 0, 6, ""), { clientSeq: 4n });
    await ann.until("the text", () => ann.text("a.ts") === "two\nthree\n4\n\n");
    assert.equal(textOf(session, "a.ts"), "two\nthree\n4");
  });

  test("OC8 writes on where lines were removed, and into a file that was deleted", async () => {
    const session = newSession();
    const ann = await relay.enter("grpc-js", session, "ann");
    const ours = await relay.join({ session, as: "ours" });
    ours.send(edit("a.ts", 0, 0, 0, "1\n2\n3\n4"), { clientSeq: 1n });
    ours.send(edit("a.ts", 1, 1, 5, ""), { clientSeq: 2n });
    await ann.until("the text", () => ann.text("a.ts") === "1\n4\n\n");
    ann.edit("a.ts", 5, "five");
    await ann.until("its line", () => textOf(session, "a.ts") === "1\n4\n\n\nfive");
    ann.send({ comment: { comment_id: "c", line_number: 5, text: "here" } });
    assert.equal((await ours.take("comment")).lineNumber, 5);
    ours.send({ case: "edit", value: { filePath: "a.ts", version: 3, deleted: true } }, { clientSeq: 3n });
    await ann.until("no text", () => ann.text("a.ts") === "\n\n\n\n");
    ann.edit("a.ts", 2, "again");
    await ann.until("its line", () => textOf(session, "a.ts") === "\nagain");
    assert.equal(ann.text("a.ts"), "\nagain\n\n\n");
    // The place of a comment on a line that it alone still shows.
    ann.send({ comment: { comment_id: "d", line_number: 4, text: "there" } });
    assert.equal((await ours.take("comment")).lineNumber, 2);
  });

  test("OC6 OC7 its own edit comes back where others came between, and is meant for the text as it is", async () => {
    const session = newSession();
    const ann = await relay.enter("grpc-js", session, "ann");
    const bob = await relay.enter("connect", session, "bob");
    ann.edit("a.ts", 1, "one", 0);
    ann.edit("a.ts", 2, "two", 0);
    await bob.until("two lines", () => bob.text("a.ts") === "one\ntwo");
    assert.deepEqual(editsOf(ann), []);
    // Bob has seen them, Ann has not seen Bob's.
    bob.edit("a.ts", 1, "bob");
    await ann.until("bob's line", () => ann.text("a.ts") === "bob\ntwo");
    ann.edit("a.ts", 2, "ann", 1);
    await ann.until("its own line", () => editsOf(ann).length === 2);
    assert.deepEqual(editsOf(ann)[1], ["ann", 2, "ann", 4]);
    ann.edit("a.ts", 1, "seen");
    await bob.until("ann's lines", () => bob.text("a.ts") === "seen\nann");
    assert.equal(editsOf(ann).length, 2);
    ann.edit("a.ts", 1, "anything", 0);
    await ann.until("its own line", () => editsOf(ann).length === 3);
  });

  test("OC9 its comment stands in the file that it edited last, else in the first of the session, else in none", async () => {
    const session = newSession();
    const ours = await relay.join({ session, as: "ours" });
    await ours.take("welcome");
    const ann = await relay.enter("grpc-js", session, "ann", {
      comment: { comment_id: "c1", line_number: 7, text: "no file" },
    });
    const none = await ours.take("comment");
    assert.deepEqual([none.filePath, none.lineNumber], ["", 7]);
    ours.send(edit("first.ts", 0, 0, 0, "1\n2"), { clientSeq: 1n });
    ours.send(edit("second.ts", 0, 0, 0, "1"), { clientSeq: 2n });
    await ann.until("both", () => ann.text("second.ts") === "1");
    ann.send({ comment: { comment_id: "c2", line_number: 2, text: "the first" } });
    const first = await ours.take("comment");
    assert.deepEqual([first.filePath, first.lineNumber], ["first.ts", 2]);
    ann.edit("second.ts", 1, "one");
    ann.send({ comment: { comment_id: "c3", line_number: 1, text: "its own" } });
    assert.equal((await ours.take("comment")).filePath, "second.ts");
    ann.send({ comment: { comment_id: "c2", line_number: 1, text: "moved" } });
    const moved = await ours.take("comment");
    assert.deepEqual([moved.filePath, moved.lineNumber, moved.text], ["first.ts", 1, "moved"]);
  });

  test("OC10 a comment is told as its author's, whoever changed it; a deleted one has no text", async () => {
    const session = newSession();
    const ann = await relay.enter("grpc-js", session, "ann");
    const bob = await relay.enter("connect", session, "bob", {
      comment: { comment_id: "c", line_number: 1, text: "why" },
    });
    await ann.until("the comment", () => ann.shows.comments.has("c"));
    const admin = await relay.token({ sub: "chief", sessions: [session], scope: "session:admin session:comment" });
    const chief = await relay.join({ session, token: admin });
    chief.send({ case: "comment", value: { commentId: "c", text: "because" } }, { clientSeq: 1n });
    await ann.until("the change", () => ann.shows.comments.get("c")?.text === "because");
    assert.equal(ann.shows.comments.get("c")?.userId, "bob");
    chief.send({ case: "comment", value: { commentId: "c", deleted: true } }, { clientSeq: 2n });
    await ann.until("no text", () => ann.shows.comments.get("c")?.text === "");
    await bob.until("no text", () => bob.shows.comments.get("c")?.text === "");
  });

  test("OC11 is told of people, not of their devices", async () => {
    const session = newSession();
    const ann = await relay.enter("grpc-js", session, "ann");
    await ann.until("the first frame", () => ann.first !== undefined);
    const bob = await relay.enter("connect", session, "bob");
    await ann.until("bob", () => ann.shows.users.get("bob") === Status.JOINED);
    const again = await relay.enter("grpc-web", session, "bob");
    await ann.until("bob once more", () => ann.shows.users.get("bob") === Status.ACTIVE);
    const other = await relay.enter("connect", session, "ann");
    bob.send({ presence: { status: "LEFT" } });
    bob.finish();
    await bob.ended;
    other.finish();
    await other.ended;
    again.send({ cursor: { file_path: "a.ts", line: 1, column: 0 } });
    await ann.until("a cursor", () => ann.heard.some(({ payload }) => payload.case === "cursor"));
    assert.ok(!ann.heard.some(isPresence("bob", Status.LEFT)));
    again.cut();
    await ann.until("nobody", () => ann.heard.some(isPresence("bob", Status.LEFT)));
    assert.ok(!ann.heard.some(isPresence("ann", Status.JOINED)) && !ann.heard.some(isPresence("ann", Status.LEFT)));
  });

  test("OC12 who is there already is told at the join, with where they are", async () => {
    const session = newSession();
    const ours = await relay.join({ session, as: "ours" });
    ours.send({ case: "cursor", value: { filePath: "a.ts", line: 3, column: 1 } });
    ours.send({ case: "presence", value: { status: Status.IDLE } });
    ours.send({ case: "heartbeat", value: { sentAt: 1n } });
    await ours.takeMessage("heartbeat", ({ payload }) => payload.case === "heartbeat" && payload.value.echo === 1n);
    const ann = await relay.enter("grpc-js", session, "ann");
    await ann.until("all of it", () => ann.heard.length === 3);
    assert.deepEqual(
      ann.heard.map(({ userId, payload }) => [userId, payload.case]),
      [
        ["ours", "presence"],
        ["ours", "presence"],
        ["ours", "cursor"],
      ],
    );
    assert.equal(ann.shows.users.get("ours"), Status.IDLE);
  });
});
