import { ChangeSet, type Text, Text as TextClass } from "@codemirror/state";
import { type Refusal, refuse } from "./refusal.ts";

/** A line break of the contract. "\r" is an ordinary character. */
export const lineBreak = "\n";

/** Replaces [from, to) by `insert`: UTF-16 code units of the base text. */
export interface Change {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
}

export function createText(content: string): Text {
  return TextClass.of(content.split(lineBreak));
}

export const emptyText: Text = TextClass.empty;

/** The text with "\n" between its lines. */
export function textContent(text: Text): string {
  return text.sliceString(0, text.length, lineBreak);
}

const isHighSurrogate = (unit: number): boolean => (unit & 0xfc00) === 0xd800;
const isLowSurrogate = (unit: number): boolean => (unit & 0xfc00) === 0xdc00;

const loneSurrogate = /[\ud800-\udfff]/u;

/** Whether every surrogate has its other half: what has not does not survive UTF-8. */
export function isWellFormed(content: string): boolean {
  return !loneSurrogate.test(content);
}

/**
 * Changes as a change set on a text of `length`: ascending, not overlapping, within the text, no half of a surrogate
 * pair inserted. Changes that touch become one, so that everybody holds the same set.
 */
export function parseChanges(length: number, changes: readonly Change[]): ChangeSet | Refusal {
  let reached = 0;
  let touching = false;
  for (const [index, { from, to, insert }] of changes.entries()) {
    if (from < reached || to < from) {
      return refuse("EDIT_OUT_OF_RANGE", `the edit does not apply: change ${index} is not after the one before it`);
    }
    if (to > length) {
      return refuse("EDIT_OUT_OF_RANGE", `the edit does not apply: change ${index} ends at ${to} of ${length}`);
    }
    if (!isWellFormed(insert)) {
      return refuse("EDIT_OUT_OF_RANGE", `the edit does not apply: change ${index} inserts half of a surrogate pair`);
    }
    if (index > 0 && from === reached) touching = true;
    reached = to;
  }
  const set = changeSet(length, changes);
  return touching ? normalizeChanges(set) : set;
}

/** Whether a change of `text` begins or ends within a surrogate pair. */
export function splitsPair(text: Text, set: ChangeSet): boolean {
  let splits = false;
  set.iterChangedRanges((from, to) => {
    splits ||= isWithinPair(text, from) || (to !== from && isWithinPair(text, to));
  });
  return splits;
}

/** Whether a position lies between the two halves of a surrogate pair. */
export function isWithinPair(text: Text, position: number): boolean {
  if (position <= 0 || position >= text.length) return false;
  const around = text.sliceString(position - 1, position + 1, lineBreak);
  return isHighSurrogate(around.charCodeAt(0)) && isLowSurrogate(around.charCodeAt(1));
}

/** How many changes a set has: as many as `listChanges` lists. */
export function countChanges(set: ChangeSet): number {
  let count = 0;
  set.iterChangedRanges(() => {
    count += 1;
  });
  return count;
}

/** Trusted changes (they stand in the log) as a change set on a text of `length`. */
export function changeSet(length: number, changes: readonly Change[]): ChangeSet {
  return ChangeSet.of(changes as Change[], length, lineBreak);
}

/** The changes of a set, ascending, no two of them touching. */
export function listChanges(set: ChangeSet): Change[] {
  const changes: Change[] = [];
  set.iterChanges((from, to, _fromB, _toB, inserted) => {
    changes.push({ from, to, insert: inserted.sliceString(0, inserted.length, lineBreak) });
  });
  return changes;
}

/**
 * The same set as everybody gets it over the wire. Sets with the same effect can differ inside (a deletion then an
 * insertion, or a replacement), and would then map others differently; so whoever sends or logs one keeps this form.
 */
export function normalizeChanges(set: ChangeSet): ChangeSet {
  return changeSet(set.length, listChanges(set));
}

/**
 * The smallest single change that makes `after` of `before`: their common prefix and suffix cut off, no surrogate pair
 * split. `offset` is where `before` begins in its text.
 */
export function smallestChange(before: string, after: string, offset = 0): Change {
  const shorter = Math.min(before.length, after.length);
  let prefix = 0;
  while (prefix < shorter && before.charCodeAt(prefix) === after.charCodeAt(prefix)) prefix++;
  if (prefix > 0 && isHighSurrogate(before.charCodeAt(prefix - 1))) prefix--;
  let suffix = 0;
  while (
    suffix < shorter - prefix &&
    before.charCodeAt(before.length - 1 - suffix) === after.charCodeAt(after.length - 1 - suffix)
  ) {
    suffix++;
  }
  if (suffix > 0 && isLowSurrogate(before.charCodeAt(before.length - suffix))) suffix--;
  return {
    from: offset + prefix,
    to: offset + before.length - suffix,
    insert: after.slice(prefix, after.length - suffix),
  };
}

/**
 * The line form: `content` replaces the text of a line, or stands in a new line after the last. Whoever cannot remove a
 * line may show `linesShown`, more than there are: those behind the text's last are empty, and become so when one of
 * them, or one behind them, is written.
 */
export function lineChange(text: Text, lineNumber: number, content: string, linesShown = 0): Change | Refusal {
  if (lineNumber < 1 || lineNumber > Math.max(text.lines, linesShown) + 1) {
    return refuse("EDIT_OUT_OF_RANGE", `the edit does not apply: line ${lineNumber} of ${text.lines}`);
  }
  const missing = lineNumber - text.lines;
  if (missing > 0) return { from: text.length, to: text.length, insert: lineBreak.repeat(missing) + content };
  const line = text.line(lineNumber);
  return smallestChange(line.text, content, line.from);
}

/** Where a line is after a change: it moves with its start, and what is inserted there stands before it. */
export function mapLine(before: Text, after: Text, changes: ChangeSet, lineNumber: number): number {
  const line = Math.min(Math.max(lineNumber, 1), before.lines);
  return after.lineAt(changes.mapPos(before.line(line).from, 1)).number;
}

/** Whether a change may move a line: typing within lines does not, however many lines are watched. */
export function movesLines(before: Text, after: Text, changes: ChangeSet): boolean {
  if (before.lines !== after.lines) return true;
  let moves = false;
  changes.iterChanges((_fromA, _toA, _fromB, _toB, inserted) => {
    moves ||= inserted.lines > 1;
  });
  return moves;
}
