import type { Text } from "@codemirror/state";
import { type Change, changeSet, emptyText } from "../text.ts";

/** A line as it now is: `number` is 1-based. */
export interface ToldLine {
  readonly number: number;
  readonly content: string;
}

/** Lines, and what may differ there; `last` may lie behind the last of either text. */
interface Span {
  readonly first: number;
  readonly last: number;
}

/**
 * A file beside what a client shows of it that knows lines alone and cannot remove one: the lines that it was told, and
 * behind the last of the text those that are gone, empty. The text goes on with each record; the client may be told
 * later, and then of the difference.
 */
export class ShownFile {
  #text: Text;
  /** What the client shows as far as it goes, but for lines of its own that are not logged yet. */
  #shown: Text = emptyText;
  #lines = 0;
  #untold: Span | undefined;
  /** Lines that are told whether they differ or not: the client may show another text there. */
  #doubtful = new Set<number>();

  constructor(text: Text = emptyText) {
    this.#text = text;
  }

  /** Lines that the client shows. */
  get lines(): number {
    return this.#lines;
  }

  /** Lines to look at before the client shows the text as it is. */
  get untoldLines(): number {
    return this.#untold === undefined ? 0 : this.#untold.last - this.#untold.first + 1;
  }

  /** The client writes a line; one past its last is one more. */
  writes(lineNumber: number): void {
    if (lineNumber === this.#lines + 1) this.#lines = lineNumber;
  }

  /** One more record of the log: `changes` of the text, after which it is `held`, where somebody holds it already. */
  apply(changes: readonly Change[], held?: Text): void {
    const before = this.#text;
    const set = changeSet(before.length, changes);
    const after = held ?? set.apply(before);
    this.#text = after;
    set.iterChangedRanges((_fromA, _toA, from, to) => {
      this.#widen(after.lineAt(from).number, after.lineAt(to).number);
    });
    const { first } = this.#untold ?? {};
    if (first !== undefined && before.lines !== after.lines) this.#widen(first, Math.max(before.lines, after.lines));
  }

  /** What the client writes into this line may have been overwritten there, or have come to stand elsewhere. */
  doubt(lineNumber: number): void {
    // An edit in the range form names none.
    if (lineNumber < 1) return;
    this.#doubtful.add(lineNumber);
    this.#widen(lineNumber, lineNumber);
  }

  /** The client has made the last change itself, and nothing is untold beside it. */
  accept(): void {
    this.#shown = this.#text;
    this.#untold = undefined;
  }

  /** Whether the client has every line of the text. */
  get isWhole(): boolean {
    return this.#lines >= this.#text.lines;
  }

  /** The lines that make the client show the text as it is, ascending; undefined for each that it shows so already. */
  *tell(): Generator<ToldLine | undefined> {
    const { first, last } = this.#missing();
    const [shown, text, doubtful] = [this.#shown, this.#text, this.#doubtful];
    const lineOf = (of: Text, number: number) => (number <= of.lines ? of.line(number).text : "");
    this.#shown = text;
    this.#untold = undefined;
    this.#doubtful = new Set();
    for (let number = first; number <= last; number++) {
      const content = lineOf(text, number);
      const isShown = number <= this.#lines && lineOf(shown, number) === content && !doubtful.has(number);
      this.writes(number);
      yield isShown ? undefined : { number, content };
    }
  }

  #missing(): Span {
    if (!this.isWhole) this.#widen(this.#lines + 1, this.#text.lines);
    return this.#untold ?? { first: 1, last: 0 };
  }

  #widen(first: number, last: number): void {
    const { first: from, last: to } = this.#untold ?? { first, last };
    this.#untold = { first: Math.min(from, first), last: Math.max(to, last) };
  }
}
