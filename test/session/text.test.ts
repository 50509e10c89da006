import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isRefusal } from "../../src/session/refusal.ts";
import {
  type Change,
  changeSet,
  countChanges,
  createText,
  isWellFormed,
  lineChange,
  listChanges,
  mapLine,
  movesLines,
  normalizeChanges,
  parseChanges,
  smallestChange,
  splitsPair,
  textContent,
} from "../../src/session/text.ts";

const unit = fc.constantFrom("a", "b", "\n", "\r", "é", "😀", "😁", "\u{1fa00}");
const prose = fc.array(unit, { maxLength: 24 }).map((units) => units.join(""));

/** A text and changes of it that may stand in an edit; some touch, some change nothing. */
const edited = fc
  .tuple(
    fc.array(unit, { maxLength: 24 }),
    fc.array(fc.tuple(fc.nat(6), fc.nat(4), fc.array(unit, { maxLength: 3 })), { maxLength: 6 }),
  )
  .map(([units, steps]) => {
    const starts = [0];
    for (const one of units) starts.push((starts.at(-1) ?? 0) + one.length);
    const place = (index: number) => starts[Math.min(index, units.length)] ?? 0;
    const changes: Change[] = [];
    let at = 0;
    for (const [skip, take, insert] of steps) {
      const from = Math.min(at + skip, units.length);
      const to = Math.min(from + take, units.length);
      changes.push({ from: place(from), to: place(to), insert: insert.join("") });
      at = to;
    }
    return { content: units.join(""), changes };
  });

/** The law, without the engine: from the last change to the first, cut and paste. */
const applied = (content: string, changes: readonly Change[]) =>
  changes.reduceRight((text, { from, to, insert }) => text.slice(0, from) + insert + text.slice(to), content);

function parse(content: string, changes: readonly Change[]) {
  const set = parseChanges(content.length, changes);
  if (isRefusal(set)) throw new Error(set.message);
  assert.equal(splitsPair(createText(content), set), false);
  assert.equal(countChanges(set), listChanges(set).length);
  return set;
}

const outcome = (content: string, changes: readonly Change[]) => {
  const set = parseChanges(content.length, changes);
  if (isRefusal(set)) return set.reason;
  return splitsPair(createText(content), set) ? "splits a pair" : "ok";
};

describe("text", () => {
  test("ED1 a text keeps every unit; only \\n breaks a line", () => {
    fc.assert(fc.property(prose, (content) => assert.equal(textContent(createText(content)), content)));
    assert.equal(createText("a\r\nb\rc\u2028d").lines, 2);
    assert.equal(createText("").lines, 1);
    assert.equal(textContent(parse("", [{ from: 0, to: 0, insert: "a\r\nb\r" }]).apply(createText(""))), "a\r\nb\r");
  });

  test("ED2 changes apply as they say, whether they touch or not", () => {
    fc.assert(
      fc.property(edited, ({ content, changes }) => {
        const after = parse(content, changes).apply(createText(content));
        assert.equal(textContent(after), applied(content, changes));
      }),
    );
  });

  test("ED2 changes that are not ascending, overlap, or leave the text are refused", () => {
    assert.equal(outcome("abc", [{ from: 2, to: 1, insert: "" }]), "EDIT_OUT_OF_RANGE");
    assert.equal(outcome("abc", [{ from: 0, to: 4, insert: "" }]), "EDIT_OUT_OF_RANGE");
    assert.equal(outcome("abc", [{ from: 4, to: 4, insert: "x" }]), "EDIT_OUT_OF_RANGE");
    assert.equal(outcome("abc", [{ from: 0, to: 3, insert: "" }]), "ok");
    assert.equal(outcome("abc", [{ from: 3, to: 3, insert: "x" }]), "ok");
    const [first, second] = [
      { from: 0, to: 2, insert: "" },
      { from: 1, to: 3, insert: "" },
    ];
    assert.equal(outcome("abc", [first, second]), "EDIT_OUT_OF_RANGE");
    assert.equal(outcome("abc", [second, first]), "EDIT_OUT_OF_RANGE");
    assert.equal(outcome("abc", [first, { from: 2, to: 3, insert: "x" }]), "ok");
  });

  test("ED3 no surrogate pair is split and no half of one inserted", () => {
    const text = "a😀b";
    assert.equal(outcome(text, [{ from: 2, to: 2, insert: "x" }]), "splits a pair");
    assert.equal(outcome(text, [{ from: 1, to: 2, insert: "" }]), "splits a pair");
    assert.equal(outcome(text, [{ from: 2, to: 4, insert: "" }]), "splits a pair");
    assert.equal(outcome(text, [{ from: 0, to: 0, insert: "\ud83d" }]), "EDIT_OUT_OF_RANGE");
    assert.equal(outcome(text, [{ from: 0, to: 0, insert: "x\ude00" }]), "EDIT_OUT_OF_RANGE");
    assert.equal(outcome(text, [{ from: 1, to: 3, insert: "😁" }]), "ok");
  });

  test("ED4 a set that was parsed is the one that its own list makes, and no two of its changes touch", () => {
    fc.assert(
      fc.property(edited, ({ content, changes }) => {
        const set = parse(content, changes);
        const list = listChanges(set);
        assert.deepEqual(changeSet(content.length, list).toJSON(), set.toJSON());
        for (const [index, { from }] of list.entries()) {
          if (index > 0) assert.ok(from > (list[index - 1]?.to ?? 0));
        }
      }),
    );
  });

  test("ED4 normalizing keeps the effect and changes nothing twice, after mapping and composing too", () => {
    fc.assert(
      fc.property(edited, edited, prose, ({ content, changes }, other, inserted) => {
        const base = createText(content);
        const set = parse(content, changes);
        const second = parse(content, [{ from: 0, to: content.length, insert: inserted }]);
        const third = parse(content, [{ from: content.length, to: content.length, insert: other.content }]);
        const more = changeSet(set.newLength, [{ from: 0, to: 0, insert: other.content }]);
        for (const [raw, on] of [
          [set.map(second), second.apply(base)],
          [set.map(third), third.apply(base)],
          [set.compose(more), base],
        ] as const) {
          const normal = normalizeChanges(raw);
          assert.equal(textContent(normal.apply(on)), textContent(raw.apply(on)));
          assert.deepEqual(normalizeChanges(normal).toJSON(), normal.toJSON());
        }
      }),
    );
  });

  test("ED5 TP1: both orders of two edits of one text end in the same text", () => {
    const pair = fc
      .tuple(edited, fc.array(fc.tuple(fc.nat(24), fc.nat(6), prose), { maxLength: 4 }))
      .map(([one, raw]) => {
        const units = [...one.content];
        const starts = [0];
        for (const unit of units) starts.push((starts.at(-1) ?? 0) + unit.length);
        let at = 0;
        const other = raw.map(([skip, take, insert]) => {
          const from = Math.min(at + (skip % 7), units.length);
          const to = Math.min(from + take, units.length);
          at = to;
          return { from: starts[from] ?? 0, to: starts[to] ?? 0, insert };
        });
        return { ...one, other };
      });
    fc.assert(
      fc.property(pair, ({ content, changes, other }) => {
        const base = createText(content);
        const [earlier, later] = [parse(content, changes), parse(content, other)];
        const here = textContent(later.map(earlier).apply(earlier.apply(base)));
        const there = textContent(earlier.map(later, true).apply(later.apply(base)));
        assert.equal(here, there);
        assert.ok(isWellFormed(here));
      }),
      { numRuns: 500 },
    );
  });

  test("ED5 of insertions at one place the earlier stands first", () => {
    const base = createText("xy");
    const earlier = parse("xy", [{ from: 1, to: 1, insert: "1" }]);
    const later = parse("xy", [{ from: 1, to: 1, insert: "2" }]);
    assert.equal(textContent(later.map(earlier).apply(earlier.apply(base))), "x12y");
  });

  test("ED6 the smallest change makes the one text of the other, and could not be smaller", () => {
    fc.assert(
      fc.property(prose, prose, fc.nat(9), (before, after, offset) => {
        const { from, to, insert } = smallestChange(before, after, offset);
        const [start, end] = [from - offset, to - offset];
        assert.equal(before.slice(0, start) + insert + before.slice(end), after);
        assert.ok(isWellFormed(insert) && isWellFormed(before.slice(start, end)));
        const removed = [...before.slice(start, end)];
        const added = [...insert];
        if (removed.length > 0 && added.length > 0) {
          assert.notEqual(removed[0], added[0]);
          assert.notEqual(removed.at(-1), added.at(-1));
        }
        if (before === after) assert.deepEqual([removed, added], [[], []]);
      }),
      { numRuns: 1000 },
    );
    // Pairs with the same first half, and with the same second half.
    assert.deepEqual(smallestChange("😀", "😁"), { from: 0, to: 2, insert: "😁" });
    assert.deepEqual(smallestChange("😀", "\u{1fa00}"), { from: 0, to: 2, insert: "\u{1fa00}" });
    assert.deepEqual(smallestChange("aaa", "aaaa"), { from: 3, to: 3, insert: "a" });
  });

  test("ED7 the line form replaces a line's text, keeps its break, adds one past the last", () => {
    fc.assert(
      fc.property(prose, prose, fc.nat(30), (content, line, pick) => {
        const text = createText(content);
        const lines = content.split("\n");
        const number = 1 + (pick % (lines.length + 1));
        const change = lineChange(text, number, line);
        assert.ok(!isRefusal(change));
        const set = parse(content, [change]);
        lines[number - 1] = line;
        assert.equal(textContent(set.apply(text)), lines.join("\n"));
      }),
    );
    for (const number of [-1, 0, 4]) {
      const change = lineChange(createText("a\nb"), number, "x");
      assert.ok(isRefusal(change) && change.reason === "EDIT_OUT_OF_RANGE");
    }
  });

  test("CM1 a line moves with its start; what is inserted there stands before it", () => {
    const moved = (content: string, line: number, change: Change) => {
      const before = createText(content);
      const set = parse(content, [change]);
      return mapLine(before, set.apply(before), set, line);
    };
    const text = "one\ntwo\nthree";
    assert.equal(moved(text, 2, { from: 0, to: 0, insert: "new\n" }), 3);
    assert.equal(moved(text, 2, { from: 4, to: 4, insert: "new\n" }), 3);
    assert.equal(moved(text, 2, { from: 5, to: 5, insert: "x\ny" }), 2);
    assert.equal(moved(text, 3, { from: 0, to: 4, insert: "" }), 2);
    assert.equal(moved(text, 2, { from: 3, to: 4, insert: "" }), 1);
    assert.equal(moved(text, 3, { from: 0, to: text.length, insert: "" }), 1);
    assert.equal(moved(text, 9, { from: 0, to: 0, insert: "\n" }), 4);
    assert.equal(moved(text, 0, { from: 0, to: 0, insert: "x" }), 1);
    assert.equal(moved("a\r\rb\nc", 2, { from: 0, to: 0, insert: "\r" }), 2);
  });

  test("CM1 whatever changes, a line stays one of the text", () => {
    fc.assert(
      fc.property(edited, fc.integer({ min: -2, max: 30 }), ({ content, changes }, line) => {
        const before = createText(content);
        const set = parse(content, changes);
        const after = set.apply(before);
        const mapped = mapLine(before, after, set, line);
        assert.ok(mapped >= 1 && mapped <= after.lines);
        if (!movesLines(before, after, set)) assert.equal(mapped, Math.min(Math.max(line, 1), before.lines));
      }),
      { numRuns: 500 },
    );
  });
});
