import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { OriginalSender } from "../../../src/session/original/sender.ts";
import { comment, edit, Session } from "../support.ts";

const sender = (changed: { editedPath?: string; lines?: number } = {}): { original: OriginalSender } => ({
  original: { editedPath: changed.editedPath ?? "", linesShown: () => changed.lines ?? 0 },
});
const line = (lineNumber: number, content: string, version = 0, filePath = "a.ts") =>
  edit({ filePath, lineNumber, content, version });
const insert = (version: number, at: number, text: string) =>
  edit({ filePath: "a.ts", version, changes: [{ from: at, to: at, insert: text }] });

/** A file of three lines, made by "ours". */
function started(): Session {
  const session = new Session();
  assert.equal(session.outcome("ours", line(1, "1\n2\n3")), "admitted");
  return session;
}

describe("the version of an edit of the original contract", () => {
  test("OC7 0 means the file as it is, and makes one where there is none", () => {
    const session = started();
    session.send("ours", insert(1, 0, "0\n"));
    assert.equal(session.outcome("o", line(1, "zero"), sender()), "admitted");
    assert.equal(session.content("a.ts"), "zero\n1\n2\n3");
    assert.equal(session.outcome("o", line(1, "new", 0, "b.ts"), sender()), "admitted");
    assert.equal(session.content("b.ts"), "new");
    assert.equal(session.outcome("ours", line(1, "new", 0, "b.ts")), "FILE_EXISTS");
  });

  test("OC7 one below its own last edit means the file as it is; a newer one what it means for everybody", () => {
    const session = started();
    assert.equal(session.outcome("o", line(3, "three", 1), sender()), "admitted");
    session.send("ours", insert(2, 0, "0\n"));
    // Its line 1 is now that of the file as it is.
    assert.equal(session.outcome("o", line(1, "zero", 1), sender()), "admitted");
    assert.equal(session.content("a.ts"), "zero\n1\n2\nthree");
    session.send("ours", insert(4, 0, "-1\n"));
    // Made on its own last edit: mapped.
    assert.equal(session.outcome("o", line(1, "nil", 4), sender()), "admitted");
    assert.equal(session.content("a.ts"), "-1\nnil\n1\n2\nthree");
    // Of somebody else's last edit it is not said.
    assert.equal(session.outcome("p", line(2, "one", 1), sender()), "admitted");
    assert.equal(session.content("a.ts"), "-1\nnil\n1\none\nthree");
    assert.equal(session.outcome("ours", insert(1, 0, "x")), "UNACKED_BASE");
    assert.equal(session.outcome("o", line(1, "x", 8), sender()), "VERSION_AHEAD");
    assert.equal(session.outcome("o", line(1, "x", -1), sender()), "admitted");
    assert.equal(session.outcome("p2", line(1, "x", -1), sender()), "EDIT_OUT_OF_RANGE");
    assert.equal(session.outcome("o", line(1, "x", 1, "no.ts"), sender()), "FILE_NOT_FOUND");
  });

  test("OC7 one below its own last edit counts also where the history no longer reaches that far", () => {
    const session = new Session({ fileHistory: 2 });
    session.send("ours", line(1, "1"));
    for (let n = 0; n < 5; n++) assert.equal(session.outcome("o", line(1, `${n}`, 1), sender()), "admitted");
    for (let n = 6; n < 12; n++) session.send("ours", insert(n, 0, "x"));
    assert.equal(session.outcome("o", line(1, "last", 1), sender()), "admitted");
    assert.equal(session.outcome("o", line(1, "its own", 6), sender()), "admitted");
    assert.equal(session.outcome("p", line(1, "stale", 1), sender()), "STALE_VERSION");
  });

  test("OC7 the version by which a file was deleted makes it again; one before is refused", () => {
    for (const [version, outcome] of [
      [2, "admitted"],
      [0, "admitted"],
      [1, "FILE_DELETED"],
    ] as const) {
      const session = started();
      session.send("ours", edit({ filePath: "a.ts", version: 1, deleted: true }));
      assert.equal(session.outcome("o", line(1, "again", version), sender()), outcome);
      if (outcome === "admitted") assert.deepEqual([session.content("a.ts"), session.version("a.ts")], ["again", 3]);
    }
    const session = started();
    session.send("ours", edit({ filePath: "a.ts", version: 1, deleted: true }));
    assert.equal(session.outcome("ours", line(1, "again", 2)), "FILE_DELETED");
  });
});

describe("lines that the original's client still shows", () => {
  test("OC8 they, and the one behind them, can be written; what lies between becomes empty lines", () => {
    const shown = sender({ lines: 6 });
    const write = (lineNumber: number, options = shown) => {
      const session = started();
      return [session.outcome("o", line(lineNumber, "x"), options), session.content("a.ts")];
    };
    assert.deepEqual(write(3), ["admitted", "1\n2\nx"]);
    assert.deepEqual(write(4), ["admitted", "1\n2\n3\nx"]);
    assert.deepEqual(write(6), ["admitted", "1\n2\n3\n\n\nx"]);
    assert.deepEqual(write(7), ["admitted", "1\n2\n3\n\n\n\nx"]);
    assert.deepEqual(write(8), ["EDIT_OUT_OF_RANGE", "1\n2\n3"]);
    assert.deepEqual(write(0), ["EDIT_OUT_OF_RANGE", "1\n2\n3"]);
    assert.deepEqual(write(5, sender()), ["EDIT_OUT_OF_RANGE", "1\n2\n3"]);
  });

  test("OC8 no more lines are made so than one edit may insert units", () => {
    const write = (lineNumber: number, lines: number) => {
      const session = new Session({ editBytes: 10 });
      session.send("ours", line(1, "1\n2\n3"));
      return session.outcome("o", line(lineNumber, "x"), sender({ lines }));
    };
    assert.equal(write(14, 1_000_000), "admitted");
    assert.equal(write(15, 1_000_000), "EDIT_OUT_OF_RANGE");
  });

  test("OC8 a line of an old version is written where that version ended", () => {
    const session = started();
    session.send("ours", insert(1, 0, "0\n"));
    assert.equal(session.outcome("o", line(5, "x", 1), sender({ lines: 5 })), "admitted");
    assert.equal(session.content("a.ts"), "0\n1\n2\n3\n\nx");
  });
});

describe("the file of a comment of the original contract", () => {
  const said = (commentId: string, lineNumber: number) => comment({ commentId, lineNumber, text: "t" });
  const place = (session: Session, id: string) => {
    const found = session.state.comments.get(id);
    return [found?.path, found?.line];
  };

  test("OC9 is the one that its sender edited last, else the first that was made and is there, else none", () => {
    const session = new Session();
    session.send("o", said("none", 7), sender());
    assert.deepEqual(place(session, "none"), ["", 7]);
    for (const path of ["z.ts", "a.ts", "m.ts"]) session.send("ours", line(1, "1\n2", 0, path));
    session.send("o", said("first", 2), sender());
    assert.deepEqual(place(session, "first"), ["z.ts", 2]);
    session.send("ours", edit({ filePath: "z.ts", version: 1, deleted: true }));
    session.send("o", said("next", 2), sender());
    assert.deepEqual(place(session, "next"), ["a.ts", 2]);
    session.send("o", said("own", 1), sender({ editedPath: "m.ts" }));
    assert.deepEqual(place(session, "own"), ["m.ts", 1]);
    assert.equal(session.outcome("ours", comment({ commentId: "ours", lineNumber: 1, text: "t" })), "admitted");
    assert.deepEqual(place(session, "ours"), ["", 1]);
  });

  test("OC9 one that replaces another stays in its file; one that names a file is in that", () => {
    const session = new Session();
    for (const path of ["a.ts", "b.ts"]) session.send("ours", line(1, "1\n2", 0, path));
    session.send("o", said("c", 1), sender({ editedPath: "b.ts" }));
    session.send("o", said("c", 2), sender({ editedPath: "a.ts" }));
    assert.deepEqual(place(session, "c"), ["b.ts", 2]);
    session.send("o", comment({ commentId: "d", filePath: "b.ts", lineNumber: 1, text: "t" }), sender());
    assert.deepEqual(place(session, "d"), ["b.ts", 1]);
  });

  test("OC9 a line that only its sender still shows is the last one; others are refused", () => {
    const session = started();
    assert.equal(session.outcome("o", said("c", 5), sender({ lines: 5 })), "admitted");
    assert.deepEqual(place(session, "c"), ["a.ts", 3]);
    assert.equal(session.outcome("o", said("d", 6), sender({ lines: 5 })), "COMMENT_INVALID");
    assert.equal(session.outcome("o", said("d", 0), sender({ lines: 5 })), "COMMENT_INVALID");
    assert.equal(session.outcome("o", said("", 1), sender({ lines: 5 })), "COMMENT_INVALID");
  });
});
