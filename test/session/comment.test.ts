import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Comment } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { forkState } from "../../src/session/state.ts";
import { comment, edit, Session, toldWhole } from "./support.ts";

const filePath = "a.ts";
const note = (init: Parameters<typeof comment>[0]) => comment({ commentId: "n1", filePath, ...init });
const insert = (version: number, at: number, text: string) =>
  edit({ filePath, version, changes: [{ from: at, to: at, insert: text }] });

function reviewed(limits: ConstructorParameters<typeof Session>[0] = {}): Session {
  const session = new Session(limits);
  session.send("ann", edit({ filePath, lineNumber: 1, content: "one\ntwo\nthree" }));
  assert.equal(session.outcome("ann", note({ lineNumber: 2, text: "why?" })), "admitted");
  return session;
}

function lastComment(session: Session): Comment {
  const payload = session.log.at(-1)?.message.payload;
  assert.ok(payload?.case === "comment");
  return payload.value;
}

describe("comments", () => {
  test("CM2 the relay sets a comment's author, first time, line and version", () => {
    const session = reviewed();
    const { userId, timestamp, version, lineNumber } = lastComment(session);
    assert.deepEqual([userId, version, lineNumber], ["user-ann", 1, 2]);
    session.send("bob", insert(1, 0, "zero\n"));
    const forged = note({ lineNumber: 1, text: "more", userId: "user-eve", timestamp: 5n, version: 2 });
    assert.equal(session.outcome("ann", forged), "admitted");
    const again = lastComment(session);
    assert.deepEqual([again.userId, again.timestamp, again.version], ["user-ann", timestamp, 2]);
  });

  test("CM3 only its author or an admin replaces or deletes a comment; another device of the author may", () => {
    const session = reviewed();
    for (const sent of [
      note({ lineNumber: 1, text: "mine" }),
      note({ text: "mine" }),
      note({ deleted: true }),
      note({ text: "why?", deleted: true }),
    ]) {
      assert.equal(session.outcome("bob", sent), "COMMENT_FORBIDDEN");
    }
    assert.equal(session.outcome("ann2", note({ text: "edited" }), { userId: "user-ann" }), "admitted");
    assert.equal(session.outcome("bob", note({ text: "moderated" }), { isAdmin: true }), "admitted");
    assert.equal(lastComment(session).userId, "user-ann");
    assert.equal(session.outcome("bob", note({ deleted: true }), { isAdmin: true }), "admitted");
    assert.equal(session.line("n1"), undefined);
  });

  test("CM4 anybody who may comment resolves one, and changes nothing else of it", () => {
    const session = reviewed();
    session.send("ann", note({ text: "why?", parentId: "root" }));
    session.send("ann", edit({ filePath: "b.ts", lineNumber: 1, content: "one\ntwo" }));
    for (const sent of [
      note({ text: "why?", resolved: true, lineNumber: 1 }),
      note({ text: "", resolved: true }),
      note({ text: "why? ", resolved: true }),
      note({ text: "why?", resolved: true, filePath: "b.ts", lineNumber: 2 }),
      note({ text: "why?", resolved: true, parentId: "elsewhere" }),
    ]) {
      assert.equal(session.outcome("bob", sent), "COMMENT_FORBIDDEN");
    }
    assert.equal(session.outcome("bob", note({ text: "why?", resolved: true, parentId: "root" })), "admitted");
    const before = session.state.comments.get("n1");
    session.send("bob", insert(1, 0, "zero\n"));
    // As it was told to them, at its line of either version.
    assert.equal(session.outcome("cyd", note({ text: "why?", resolved: true, lineNumber: 2, version: 1 })), "admitted");
    assert.equal(session.outcome("bob", note({ text: "why?", resolved: true, lineNumber: 3 })), "admitted");
    assert.equal(session.outcome("bob", note({ text: "why?", lineNumber: 2 })), "COMMENT_FORBIDDEN");
    assert.equal(session.outcome("cyd", note({ text: "why?", filePath: "" })), "admitted");
    assert.deepEqual(session.state.comments.get("n1"), { ...before, line: 3, resolved: false });
  });

  test("CM5 line 0 in a replacement keeps the place, also where the comment has moved", () => {
    const session = reviewed();
    session.send("bob", insert(1, 0, "zero\n"));
    assert.equal(session.outcome("ann", note({ text: "still?" })), "admitted");
    assert.deepEqual([lastComment(session).lineNumber, session.line("n1")], [3, 3]);
    assert.equal(session.outcome("ann", note({ commentId: "n2", text: "no line" })), "COMMENT_INVALID");
  });

  test("CM6 comments move with their line, and stand at line 1 of a file that was deleted", () => {
    const session = reviewed();
    session.send("bob", insert(1, 4, "new\n"));
    assert.equal(session.line("n1"), 3);
    session.send("bob", edit({ filePath, version: 2, lineNumber: 3, content: "2" }));
    assert.equal(session.line("n1"), 3);
    session.send("bob", edit({ filePath, version: 3, changes: [{ from: 0, to: 4 }] }));
    assert.equal(session.line("n1"), 2);
    session.send("bob", edit({ filePath, version: 4, deleted: true }));
    assert.equal(session.line("n1"), 1);
    assert.equal(session.outcome("ann", note({ text: "gone?" })), "admitted");
    assert.equal(session.outcome("ann", note({ text: "gone?", lineNumber: 1 })), "FILE_DELETED");
    session.send("bob", edit({ filePath, lineNumber: 1, content: "a\nb" }));
    session.send("bob", insert(6, 0, "\n"));
    assert.equal(session.line("n1"), 3);
  });

  test("CM7 a line of an older version is put where it stands now; a version ahead or too old is refused", () => {
    const session = reviewed({ fileHistory: 4 });
    session.send("bob", insert(1, 0, "zero\n"));
    session.send("bob", insert(2, 0, "x"));
    assert.equal(session.outcome("cyd", note({ commentId: "n2", lineNumber: 3, version: 1 })), "admitted");
    assert.deepEqual([session.line("n2"), lastComment(session).version], [4, 3]);
    assert.equal(session.outcome("cyd", note({ commentId: "n3", lineNumber: 4, version: 1 })), "COMMENT_INVALID");
    assert.equal(session.outcome("cyd", note({ commentId: "n3", lineNumber: 5, version: 0 })), "COMMENT_INVALID");
    assert.equal(session.outcome("cyd", note({ commentId: "n3", lineNumber: 1, version: 4 })), "VERSION_AHEAD");
    assert.equal(session.outcome("cyd", note({ commentId: "n3", lineNumber: 1, version: -1 })), "COMMENT_INVALID");
    for (let version = 3; version < 60; version++) {
      session.send("bob", insert(version, 0, "y"));
      const head = version + 1;
      const other = () => new Session({ fileHistory: 4 }, forkState(session.state));
      const at = (missed: number) => note({ commentId: "n3", lineNumber: 2, version: head - missed });
      assert.equal(other().outcome("cyd", at(4)), "admitted");
      if (head > 5) assert.equal(other().outcome("cyd", at(5)), "STALE_VERSION");
    }
  });

  test("CM8 a comment has a place that exists, and sound texts of bounded length", () => {
    const session = reviewed({ sessionBytes: 20_000 });
    const before = toldWhole(session.state);
    const outcomes = (init: Parameters<typeof comment>[0]) =>
      session.outcome("bob", note({ commentId: "n9", lineNumber: 1, ...init }));
    for (const commentId of ["", "x".repeat(129), "a\u0000", "a\nb", "\ud800"]) {
      assert.equal(outcomes({ commentId }), "COMMENT_INVALID");
    }
    for (const parentId of ["x".repeat(129), "\udc00", "a\u0007"])
      assert.equal(outcomes({ parentId }), "COMMENT_INVALID");
    assert.equal(outcomes({ text: "half \ud83d" }), "COMMENT_INVALID");
    assert.equal(outcomes({ text: "x".repeat(16 * 1024 + 1) }), "COMMENT_INVALID");
    assert.equal(outcomes({ deleted: true }), "COMMENT_INVALID");
    assert.equal(outcomes({ filePath: "none" }), "FILE_NOT_FOUND");
    assert.equal(outcomes({ filePath: "a\u0000" }), "PATH_INVALID");
    assert.deepEqual(toldWhole(session.state), before);
    assert.equal(outcomes({ text: "x".repeat(16 * 1024) }), "admitted");
    const free = 20_000 - session.state.units - 128;
    assert.equal(outcomes({ commentId: "n10", text: "x".repeat(free + 1) }), "DOCUMENT_TOO_LARGE");
    assert.equal(outcomes({ commentId: "n10", text: "x".repeat(free) }), "admitted");
    assert.equal(session.outcome("bob", note({ commentId: "n10", deleted: true, text: "x".repeat(900) })), "admitted");
    assert.equal(lastComment(session).text, "");
    assert.equal(outcomes({ commentId: "n10", filePath: "", lineNumber: 7 }), "admitted");
    assert.deepEqual([session.line("n10"), session.state.comments.get("n10")?.path], [7, ""]);
  });

  test("CM9 a comment that moves to another file moves with that one's lines", () => {
    const session = reviewed();
    session.send("ann", edit({ filePath: "b.ts", lineNumber: 1, content: "x\ny" }));
    assert.equal(session.outcome("ann", note({ filePath: "b.ts", lineNumber: 2, text: "here" })), "admitted");
    session.send("bob", insert(1, 0, "\n\n\n"));
    assert.equal(session.line("n1"), 2);
    session.send("bob", edit({ filePath: "b.ts", version: 1, changes: [{ from: 0, to: 0, insert: "\n" }] }));
    assert.equal(session.line("n1"), 3);
    assert.deepEqual(session.state.files.get(filePath)?.commentIds, []);
  });
});
