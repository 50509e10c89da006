import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChangeSet, Text } from "@codemirror/state";
import fc from "fast-check";
import { splitChanges } from "../../../src/session/client/next-edit.ts";
import { isRefusal } from "../../../src/session/refusal.ts";
import {
  type Change,
  changeSet,
  createText,
  listChanges,
  normalizeChanges,
  parseChanges,
  smallestChange,
  splitsPair,
  textContent,
} from "../../../src/session/text.ts";

const units = fc.constantFrom("a", "b", "\n", "\r", "\r\n", "😀", "😁", "é");
const content = fc.array(units, { maxLength: 12 }).map((parts) => parts.join(""));
/** Where in a text the changes are, told as parts of a thousand, so that one value fits every text. */
const spots = fc.array(fc.tuple(fc.nat(1000), fc.nat(4), fc.array(units, { maxLength: 3 })), { maxLength: 4 });
type Spots = readonly (readonly [number, number, readonly string[]])[];

/** Changes that a user can make: no surrogate pair split. */
function changesAt(text: Text, at: Spots): Change[] {
  const whole = textContent(text);
  const boundaries: number[] = [0];
  for (const character of whole) boundaries.push((boundaries.at(-1) ?? 0) + character.length);
  const changes: Change[] = [];
  let reached = 0;
  for (const [place, length, insert] of [...at].sort((a, b) => a[0] - b[0])) {
    const index = Math.max(reached, Math.floor((place / 1001) * boundaries.length));
    const end = Math.min(boundaries.length - 1, index + length);
    changes.push({ from: boundaries[index] ?? 0, to: boundaries[end] ?? 0, insert: insert.join("") });
    reached = end;
  }
  return changes;
}

/** Whether the relay takes these changes of a text. */
function isTaken(text: Text, changes: readonly Change[]): boolean {
  const set = parseChanges(text.length, changes);
  return !isRefusal(set) && !splitsPair(text, set);
}

/** Two edits, one after the other, in one set: in a form that no list of changes has. */
function composed(text: Text, first: Spots, second: Spots): ChangeSet {
  const a = changeSet(text.length, changesAt(text, first));
  const after = a.apply(text);
  return a.compose(changeSet(after.length, changesAt(after, second)));
}

describe("change sets as both sides use them", () => {
  test("CT4 TP1: whoever goes first, both get to the same text, in whatever form the sets are", () => {
    let met = 0;
    fc.assert(
      fc.property(content, spots, spots, spots, spots, (start, a1, a2, b1, b2) => {
        const text = createText(start);
        const earlier = composed(text, a1, a2);
        const later = composed(text, b1, b2);
        const one = later.map(earlier).apply(earlier.apply(text));
        const other = earlier.map(later, true).apply(later.apply(text));
        if (!earlier.empty && !later.empty) met += 1;
        assert.equal(textContent(one), textContent(other));
      }),
      { numRuns: 3_000, seed: 1 },
    );
    assert.ok(met > 1_000);
  });

  test("CT4 three in a row: a sent edit and what was typed after it make way for another's, layer by layer", () => {
    fc.assert(
      fc.property(content, spots, spots, spots, spots, (start, remote1, remote2, sent, typed) => {
        const text = createText(start);
        const remote = normalizeChanges(composed(text, remote1, remote2));
        const flight = normalizeChanges(changeSet(text.length, changesAt(text, sent)));
        const afterFlight = flight.apply(text);
        const buffer = changeSet(afterFlight.length, changesAt(afterFlight, typed));
        const overFlight = remote.map(flight, true);
        const shown = overFlight.map(buffer, true).apply(buffer.apply(afterFlight));
        const layered = buffer.map(overFlight).apply(flight.map(remote).apply(remote.apply(text)));
        assert.equal(textContent(shown), textContent(layered));
      }),
      { numRuns: 2_000, seed: 2 },
    );
  });

  test("CT4 mapping splits no surrogate pair: what comes out is what the relay takes", () => {
    fc.assert(
      fc.property(content, spots, spots, (start, a, b) => {
        const text = createText(start);
        const earlier = changeSet(text.length, changesAt(text, a));
        const later = changeSet(text.length, changesAt(text, b)).map(earlier);
        assert.ok(isTaken(earlier.apply(text), listChanges(later)));
      }),
      { numRuns: 2_000, seed: 3 },
    );
  });

  test("CT5 a set that is too large for one edit goes in parts that do the same, none of them too large", () => {
    let split = 0;
    fc.assert(
      fc.property(
        content,
        spots,
        spots,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (start, a, b, insertUnits, changes) => {
          const text = createText(start);
          const set = composed(text, a, b);
          let rest: ChangeSet | undefined = set;
          let now = text;
          let parts = 0;
          while (rest !== undefined) {
            const [first, left]: readonly [ChangeSet, ChangeSet | undefined] = splitChanges(rest, {
              insertUnits,
              changes,
            });
            assert.ok(isTaken(now, listChanges(first)), "the relay takes it");
            assert.ok(listChanges(first).length <= changes);
            const inserted = listChanges(first).reduce((sum, { insert }) => sum + insert.length, 0);
            assert.ok(inserted <= Math.max(2, insertUnits), "a pair is the smallest part");
            now = first.apply(now);
            rest = left;
            parts += 1;
            assert.ok(parts < 200, "it comes to an end");
          }
          if (parts > 1) split += 1;
          assert.equal(textContent(now), textContent(set.apply(text)));
        },
      ),
      { numRuns: 1_500, seed: 4 },
    );
    assert.ok(split > 500);
  });

  test("CT6 the smallest difference makes the one text of the other and splits no pair", () => {
    fc.assert(
      fc.property(content, content, (before, after) => {
        const text = createText(before);
        const change = smallestChange(before, after);
        assert.ok(isTaken(text, [change]));
        assert.equal(textContent(changeSet(text.length, [change]).apply(text)), after);
      }),
      { numRuns: 2_000, seed: 5 },
    );
  });
});
