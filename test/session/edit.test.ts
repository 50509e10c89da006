import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChangeSet } from "@codemirror/state";
import type { CodeEdit } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { textAt } from "../../src/session/file.ts";
import { isRefusal } from "../../src/session/refusal.ts";
import { forkState } from "../../src/session/state.ts";
import {
  type Change,
  changeSet,
  createText,
  isWellFormed,
  listChanges,
  normalizeChanges,
  parseChanges,
  textContent,
} from "../../src/session/text.ts";
import { walkTrail } from "../../src/session/trail.ts";
import { edit, Random, Session, toldWhole, withLimits } from "./support.ts";

const path = "src/main.ts";
const insert = (version: number, at: number, text: string) =>
  edit({ filePath: path, version, changes: [{ from: at, to: at, insert: text }] });
const make = (content: string, filePath = path) => edit({ filePath, lineNumber: 1, content });
const remove = (version: number) => edit({ filePath: path, version, deleted: true });

/** One that stands at `content`, made by "maker". */
function sessionWith(content: string, limits: ConstructorParameters<typeof Session>[0] = {}): Session {
  const session = new Session(limits);
  assert.equal(session.outcome("maker", make(content)), "admitted");
  return session;
}

function lastEdit(session: Session): CodeEdit {
  const payload = session.log.at(-1)?.message.payload;
  assert.ok(payload?.case === "edit");
  return payload.value;
}

function randomChanges(random: Random, content: string): Change[] {
  const units = [...content];
  const starts = [0];
  for (const unit of units) starts.push((starts.at(-1) ?? 0) + unit.length);
  const changes: Change[] = [];
  let at = 0;
  for (let n = 1 + random.below(3); n > 0; n--) {
    const from = Math.min(at + random.below(units.length + 1), units.length);
    const to = Math.min(from + (random.chance(0.5) ? random.below(6) : 0), units.length);
    const text = Array.from({ length: random.below(4) }, () => random.pick(["a", "B", "\n", "😀", "\r"])).join("");
    changes.push({ from: starts[from] ?? 0, to: starts[to] ?? 0, insert: text });
    at = to;
  }
  return changes;
}

/** A participant as the contract wants one: at most one unacked edit, what it gets is mapped past that. */
class Participant {
  readonly id: string;
  text = createText("");
  version = 0;
  seen = 0;
  /** Its unacked edit, mapped past what has come since. */
  pending: ChangeSet | undefined;

  constructor(id: string) {
    this.id = id;
  }

  type(random: Random): CodeEdit {
    const set = parseChanges(this.text.length, randomChanges(random, textContent(this.text)));
    assert.ok(!isRefusal(set));
    const list = listChanges(set);
    const changes = list.length > 0 ? list : [{ from: 0, to: 0, insert: "" }];
    const payload = edit({ filePath: path, version: this.version, changes });
    assert.ok(payload.case === "edit");
    this.pending = set;
    this.text = set.apply(this.text);
    return payload.value;
  }

  /** One record of the log: its own as an Ack, another's as it stands there. */
  receive(author: string, record: CodeEdit): void {
    this.version = record.version;
    if (author === this.id) {
      this.pending = undefined;
      return;
    }
    const before = this.pending === undefined ? this.text.length : this.pending.length;
    const theirs = changeSet(before, record.changes);
    const shown = this.pending === undefined ? theirs : theirs.map(this.pending, true);
    this.pending = this.pending?.map(theirs);
    this.text = shown.apply(this.text);
  }
}

describe("edits", () => {
  for (let seed = 1; seed <= 60; seed++) {
    test(`ED8 concurrent edits end in one text for all, seed ${seed}`, () => {
      const random = new Random(seed);
      const session = sessionWith("one\ntwo 😀\nthree");
      const participants = ["ann", "bob", "cyd"].map((id) => new Participant(id));
      let admitted = 0;
      const catchUp = (who: Participant, most: number) => {
        for (const { message } of session.log.slice(who.seen, who.seen + most)) {
          assert.ok(message.payload.case === "edit");
          who.receive(message.clientId, message.payload.value);
          who.seen += 1;
        }
      };
      for (const who of participants) catchUp(who, 1);
      for (let step = 0; step < 120; step++) {
        const who = random.pick(participants);
        if (random.chance(0.5)) catchUp(who, random.below(5));
        else if (who.pending === undefined) {
          const sent = who.type(random);
          assert.equal(session.outcome(who.id, { case: "edit", value: sent }), "admitted");
          admitted += 1;
        }
      }
      for (const who of participants) {
        catchUp(who, Number.POSITIVE_INFINITY);
        assert.equal(textContent(who.text), session.content(path));
        assert.equal(who.version, session.version(path));
      }
      assert.ok(admitted > 10 && isWellFormed(session.content(path)));
    });
  }

  for (let seed = 1; seed <= 40; seed++) {
    test(`ED9 an edit of an older version says what it says mapped over what came since, seed ${seed}`, () => {
      const random = new Random(seed);
      const session = sessionWith("alpha\nbeta 😀 gamma\n\ndelta");
      const texts = ["", session.content(path)];
      for (let n = 0; n < 12; n++) {
        const version = 1 + random.below(session.version(path));
        const base = createText(texts[version] ?? "");
        const line = 1 + random.below(base.lines + 1);
        const content = random.pick(["", "alp", "x\ny", "beta 😁 gamma", "delta!"]);
        const changes = randomChanges(random, textContent(base));
        const sent = random.chance(0.5)
          ? edit({ filePath: path, version, changes })
          : edit({ filePath: path, version, lineNumber: line, content });
        assert.ok(sent.case === "edit");
        const lines = textContent(base).split("\n");
        lines[line - 1] = content;
        const said = sent.value.changes.length > 0 ? undefined : lines.join("\n");
        assert.equal(session.outcome(`c${n}`, sent), "admitted");
        const stands = lastEdit(session);
        const before = createText(texts[stands.version - 1] ?? "");
        const after = textContent(changeSet(before.length, stands.changes).apply(before));
        assert.equal(session.content(path), after);
        const [newest] = walkTrail(session.state.files.get(path)?.history);
        assert.deepEqual(newest?.changes.toJSON(), changeSet(before.length, stands.changes).toJSON());
        if (version === stands.version - 1 && said !== undefined) assert.equal(after, said);
        if (sent.value.changes.length > 0) {
          const set = parseChanges(base.length, changes);
          assert.ok(!isRefusal(set));
          let mapped = set;
          for (const { message } of session.log.slice(version, -1)) {
            assert.ok(message.payload.case === "edit");
            mapped = mapped.map(changeSet(mapped.length, message.payload.value.changes));
          }
          assert.deepEqual(changeSet(before.length, stands.changes).toJSON(), normalizeChanges(mapped).toJSON());
        }
        texts.push(after);
      }
    });
  }

  test("ED9 the line form on an old version changes the line that it was made on, and only what differs", () => {
    const session = sessionWith("one\ntwo\nthree");
    session.send("bob", insert(1, 0, "zero\n"));
    assert.equal(
      session.outcome("ann", edit({ filePath: path, version: 1, lineNumber: 2, content: "twoo" })),
      "admitted",
    );
    assert.equal(session.content(path), "zero\none\ntwoo\nthree");
    assert.deepEqual(
      lastEdit(session).changes.map(({ from, to, insert }) => ({ from, to, insert })),
      [{ from: 12, to: 12, insert: "o" }],
    );
  });

  test("ED9 changes that come to touch when they are mapped become one, for the relay as for who reads the log", () => {
    const session = sessionWith("abcd");
    session.send("ann", edit({ filePath: path, version: 1, changes: [{ from: 2, to: 3 }] }));
    const apart = [
      { from: 0, to: 2, insert: "" },
      { from: 3, to: 3, insert: "x" },
    ];
    assert.equal(session.outcome("bob", edit({ filePath: path, version: 1, changes: apart })), "admitted");
    const { changes } = lastEdit(session);
    assert.deepEqual(
      changes.map(({ from, to, insert }) => ({ from, to, insert })),
      [{ from: 0, to: 2, insert: "x" }],
    );
    const [newest] = walkTrail(session.state.files.get(path)?.history);
    assert.deepEqual(newest?.changes.toJSON(), changeSet(3, changes).toJSON());
  });

  test("ED10 history reaches back `fileHistory` versions, and not one more", () => {
    const session = sessionWith("x", { fileHistory: 10 });
    for (let version = 1; version <= 40; version++) {
      assert.equal(session.outcome("maker", insert(version, 0, "a")), "admitted");
      const head = version + 1;
      for (const [missed, expected] of [
        [10, "admitted"],
        [11, "STALE_VERSION"],
      ] as const) {
        if (head - missed < 1) continue;
        const state = forkState(session.state);
        const other = new Session({ fileHistory: 10 }, state);
        assert.equal(other.outcome("ann", insert(head - missed, 1, "b")), expected, `${missed} behind ${head}`);
        const line = edit({ filePath: path, version: head - missed, lineNumber: 1, content: "" });
        assert.equal(new Session({ fileHistory: 10 }, forkState(session.state)).outcome("ann", line), expected);
      }
    }
  });

  test("ED10 a batch that was forgotten takes nothing of the history with it", () => {
    const limits = { fileHistory: 16 };
    const session = sessionWith("x", limits);
    for (let version = 1; version <= 30; version++) session.send("maker", insert(version, 0, "a"));
    const forgotten = new Session(limits, forkState(session.state));
    for (let version = 31; version <= 46; version++) forgotten.send("maker", insert(version, 0, "b"));
    assert.equal(session.outcome("ann", insert(31 - 16, 0, "c")), "admitted");
  });

  test("ED11 a version ahead, or before the client's own last edit, is refused for a resync", () => {
    const session = sessionWith("abc");
    assert.equal(session.outcome("ann", insert(2, 0, "x")), "VERSION_AHEAD");
    assert.equal(session.outcome("ann", insert(1, 0, "x")), "admitted");
    assert.equal(session.outcome("bob", insert(2, 0, "y")), "admitted");
    assert.equal(session.outcome("ann", insert(1, 0, "z")), "UNACKED_BASE");
    assert.equal(session.outcome("ann", insert(2, 0, "z")), "admitted");
    // Another device of the same user is another client.
    assert.equal(session.outcome("ann2", insert(1, 0, "w"), { userId: "user-ann" }), "admitted");
    assert.equal(session.outcome("ann", insert(-1, 0, "z")), "EDIT_OUT_OF_RANGE");
  });

  test("ED12 version 0 makes a file, also an empty one, and only where there is none", () => {
    const session = new Session();
    assert.equal(session.outcome("ann", insert(1, 0, "x")), "FILE_NOT_FOUND");
    assert.equal(session.outcome("ann", edit({ filePath: path, deleted: true })), "FILE_NOT_FOUND");
    assert.equal(session.outcome("ann", edit({ filePath: path })), "admitted");
    assert.equal(session.content(path), "");
    assert.equal(lastEdit(session).version, 1);
    assert.equal(session.outcome("bob", make("x")), "FILE_EXISTS");
    assert.equal(session.outcome("bob", edit({ filePath: "b", lineNumber: 2, content: "x" })), "admitted");
    assert.equal(session.content("b"), "\nx");
    assert.equal(
      session.outcome("bob", edit({ filePath: "c", changes: [{ from: 0, to: 0, insert: "r" }] })),
      "admitted",
    );
    assert.equal(session.content("c"), "r");
    assert.equal(session.outcome("bob", edit({ filePath: "d", changes: [{ from: 0, to: 1 }] })), "EDIT_OUT_OF_RANGE");
    assert.equal(session.state.fileCount, 3);
    for (const filePath of ["", "a\u0000", "a\nb", "\ud800", "x".repeat(513)]) {
      assert.equal(session.outcome("bob", make("x", filePath)), "PATH_INVALID");
    }
    assert.equal(session.outcome("bob", make("x", "__proto__")), "admitted");
  });

  test("ED13 a deletion makes a version; what was made before it is refused, and a file made again goes on from it", () => {
    const session = sessionWith("abc");
    session.send("ann", insert(1, 3, "d"));
    assert.equal(session.outcome("bob", remove(1)), "admitted");
    assert.deepEqual([session.version(path), session.content(path), lastEdit(session).deleted], [3, "", true]);
    // A deleted file counts as its name, since its version is kept.
    assert.deepEqual([session.state.fileCount, session.state.units], [0, path.length + 64]);
    for (const version of [1, 2, 3]) assert.equal(session.outcome("cyd", insert(version, 0, "x")), "FILE_DELETED");
    assert.equal(session.outcome("cyd", remove(3)), "FILE_DELETED");
    assert.equal(session.outcome("cyd", insert(4, 0, "x")), "VERSION_AHEAD");
    assert.equal(session.outcome("cyd", make("new")), "admitted");
    assert.deepEqual([session.version(path), session.content(path), session.state.fileCount], [4, "new", 1]);
    for (const version of [1, 2, 3]) assert.equal(session.outcome("dan", insert(version, 0, "x")), "FILE_DELETED");
    assert.equal(session.outcome("dan", insert(4, 0, "x")), "admitted");
    assert.equal(session.outcome("ann", make("again")), "FILE_EXISTS");
  });

  test("ED13 a file that was made empty can be deleted", () => {
    const session = new Session();
    session.send("ann", edit({ filePath: path }));
    assert.equal(session.outcome("bob", remove(1)), "admitted");
    assert.deepEqual([session.state.fileCount, session.version(path)], [0, 2]);
  });

  test("ED14 an edit of which nothing is left still makes a version, with one empty change", () => {
    const session = sessionWith("abc");
    const cut = edit({ filePath: path, version: 1, changes: [{ from: 0, to: 3, insert: "" }] });
    session.send("ann", cut);
    assert.equal(session.outcome("bob", cut), "admitted");
    const { version, changes } = lastEdit(session);
    assert.equal(version, 3);
    assert.deepEqual(
      changes.map(({ from, to, insert }) => ({ from, to, insert })),
      [{ from: 0, to: 0, insert: "" }],
    );
    assert.equal(session.version(path), 3);
  });

  test("ED15 each limit admits what is just within it, and refuses what is just beyond", () => {
    const short = { editChanges: 3, editBytes: 8, fileBytes: 10, sessionBytes: 20, sessionFiles: 3 };
    const session = sessionWith("12345678", short);
    const changes = (count: number) => Array.from({ length: count }, (_, at) => ({ from: at * 2, to: at * 2 + 1 }));
    assert.equal(session.outcome("ann", edit({ filePath: path, version: 1, changes: changes(4) })), "EDIT_TOO_LARGE");
    assert.equal(session.outcome("ann", insert(1, 0, "123456789")), "EDIT_TOO_LARGE");
    assert.equal(
      session.outcome("ann", edit({ filePath: path, version: 1, lineNumber: 1, content: "123456789" })),
      "EDIT_TOO_LARGE",
    );
    assert.equal(session.outcome("ann", insert(1, 0, "abc")), "DOCUMENT_TOO_LARGE");
    assert.equal(session.outcome("ann", insert(1, 0, "ab")), "admitted");
    assert.equal(session.outcome("ann", insert(2, 0, "a")), "DOCUMENT_TOO_LARGE");
    assert.equal(session.outcome("ann", make("12345678", "b")), "admitted");
    assert.equal(session.outcome("ann", make("123", "c")), "DOCUMENT_TOO_LARGE");
    assert.equal(session.outcome("ann", make("12", "c")), "admitted");
    assert.equal(session.state.units, 20);
    assert.equal(session.outcome("ann", edit({ filePath: "d" })), "TOO_MANY_FILES");
    assert.equal(session.outcome("ann", edit({ filePath: path, version: 2, changes: changes(3) })), "admitted");
    assert.equal(session.outcome("ann", remove(3)), "admitted");
    assert.equal(session.outcome("ann", make("x")), "admitted");
  });

  test("ED15 what is over a limit already may still shrink", () => {
    const session = sessionWith("x".repeat(30));
    const tight = new Session({ fileBytes: 10, sessionBytes: 10 }, session.state);
    const cut = edit({ filePath: path, version: 1, changes: [{ from: 0, to: 5 }] });
    assert.equal(tight.outcome("ann", cut), "admitted");
    assert.equal(tight.outcome("bob", insert(2, 0, "y")), "DOCUMENT_TOO_LARGE");
  });

  test("ED15 the unused form of an edit counts for nothing", () => {
    const session = sessionWith("abc", { editBytes: 8 });
    const both = edit({ filePath: path, version: 1, content: "123456789", changes: [{ from: 0, to: 0, insert: "x" }] });
    assert.equal(session.outcome("ann", both), "admitted");
  });

  test("ED16 an edit that falls into very many pieces is sent back for a resync, at bounded work", () => {
    const session = sessionWith("x".repeat(400), { editChanges: 20 });
    for (let n = 0; n < 10; n++) {
      const length = 400 + n * 20;
      const changes = Array.from({ length: 20 }, (_, at) => {
        const from = Math.floor(((at + (n + 0.5) / 10) * length) / 20);
        return { from, to: from, insert: "y" };
      });
      assert.equal(session.outcome(`c${n}`, edit({ filePath: path, version: n + 1, changes })), "admitted");
    }
    const all = (version: number) => edit({ filePath: path, version, changes: [{ from: 0, to: 400 }] });
    assert.equal(session.outcome("ann", all(1)), "STALE_VERSION");
    assert.equal(
      session.outcome("ann", edit({ filePath: path, version: 8, changes: [{ from: 0, to: 540 }] })),
      "admitted",
    );
    assert.ok(lastEdit(session).changes.length > 20);
  });

  test("ED17 a refused edit changes nothing", () => {
    const session = sessionWith("a😀b", { fileHistory: 2, editBytes: 64, fileBytes: 40, sessionFiles: 2 });
    session.send("ann", insert(1, 0, "x"));
    for (let n = 2; n < 5; n++) session.send("bob", insert(n, 0, "y"));
    session.send("bob", make("other", "other"));
    session.send("bob", edit({ filePath: "other", version: 1, deleted: true }));
    session.send("bob", make("third", "third"));
    const before = toldWhole(session.state);
    const refused = [
      [insert(9, 0, "x"), "VERSION_AHEAD"],
      [insert(1, 0, "x"), "STALE_VERSION"],
      [insert(5, 99, "x"), "EDIT_OUT_OF_RANGE"],
      [insert(5, 6, "x"), "EDIT_OUT_OF_RANGE"],
      [insert(5, 0, "x".repeat(65)), "EDIT_TOO_LARGE"],
      [insert(5, 0, "x".repeat(64)), "DOCUMENT_TOO_LARGE"],
      [make("x"), "FILE_EXISTS"],
      [make("x", "new"), "TOO_MANY_FILES"],
      [edit({ filePath: "other", version: 1, content: "x", lineNumber: 1 }), "FILE_DELETED"],
      [edit({ filePath: "none", version: 1, content: "x", lineNumber: 1 }), "FILE_NOT_FOUND"],
      [edit({ filePath: path, version: 5, content: "x" }), "EDIT_OUT_OF_RANGE"],
    ] as const;
    for (const [payload, reason] of refused) {
      assert.equal(session.outcome("cyd", payload), reason);
      assert.deepEqual(toldWhole(session.state), before);
    }
    assert.equal(withLimits().fileHistory, 1000);
  });

  test("ED17 an edit whose positions split a pair of its old version never splits one of the newest", () => {
    const session = sessionWith("a😀b");
    session.send("ann", insert(1, 0, "xx"));
    assert.equal(session.outcome("bob", insert(1, 2, "y")), "EDIT_OUT_OF_RANGE");
    assert.equal(session.outcome("bob", insert(1, 3, "y")), "admitted");
    assert.equal(session.content(path), "xxa😀yb");
  });

  test("ED18 what stands on the text of an old version is refused where to make that text again is too much work", () => {
    const session = sessionWith("x\n".repeat(100));
    for (let version = 1; version <= 20; version++) {
      const changes = Array.from({ length: 100 }, (_, line) => {
        const at = (1 + version) * line;
        return { from: at, to: at, insert: "y" };
      });
      assert.equal(session.outcome("maker", edit({ filePath: path, version, changes })), "admitted");
    }
    const line = (version: number) => edit({ filePath: path, version, lineNumber: 1, content: "mine" });
    assert.equal(session.outcome("bob", line(10)), "STALE_VERSION");
    assert.equal(session.outcome("bob", line(18)), "admitted");
  });

  test("ED9 every version within the history can be written on, however few of the old texts are kept", () => {
    const random = new Random(7);
    const session = sessionWith("one\ntwo");
    const texts = ["", session.content(path)];
    while (session.version(path) < 700) {
      session.send(
        "maker",
        insert(
          session.version(path),
          Math.floor(random.next() * session.content(path).length),
          "abc\n"[texts.length % 4] ?? "",
        ),
      );
      texts.push(session.content(path));
    }
    const file = session.state.files.get(path);
    assert.ok(file !== undefined);
    for (const [version, text] of texts.entries()) {
      if (version === 0) continue;
      const found = textAt(file, version);
      assert.ok(!isRefusal(found), `version ${version}`);
      assert.equal(textContent(found), text);
    }
    assert.ok([...walkTrail(file.history)].filter(({ before }) => before !== undefined).length <= 4);
    assert.ok(file.recent.length <= 4);
  });
});
