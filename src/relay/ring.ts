import type { SharedPayload } from "./metrics/labels.ts";
import type { Content, Tally } from "./metrics/meters.ts";
import type { FrameForm } from "./stream.ts";

/** One frame in the ring. */
export interface RingEntry {
  readonly frame: Uint8Array;
  readonly payload: SharedPayload;
  /** Of a logged record; 0 for what is not logged. */
  readonly seq: number;
  /** The last record at or before it in the ring's order. */
  readonly head: number;
  /** Key of the client that it came from: to that one it is told otherwise, or not at all. */
  readonly sender: string;
  /** The sender's own number of it; 0 for what is not logged. */
  readonly clientSeq: number;
  /** Of the message, ms since the Unix epoch. */
  readonly timestampMs: number;
  /** The file version that an edit made; 0 for others. */
  readonly version: number;
}

/** Entries that lie behind one another. */
export interface Run {
  readonly bytes: Uint8Array;
  /** One past the last of them. */
  readonly to: number;
  /** The last record at or before the last of them in the ring's order. */
  readonly head: number;
  readonly contents: readonly Content[];
}

/** The forms that are derived from the binary one. */
export type DerivedForm = Exclude<FrameForm, "binary">;

interface Segment {
  readonly bytes: Uint8Array;
  used: number;
  /** One past the last entry that lies in it. */
  to: number;
}

interface Slot extends RingEntry {
  readonly segment: Segment;
  readonly start: number;
  derived: Partial<Record<DerivedForm, Uint8Array>> | undefined;
}

const firstSegmentBytes = 4 * 1024;
const largestSegmentBytes = 64 * 1024;
/** Entries are dropped from the front of their array in such lots, so that dropping one costs nothing. */
const dropLot = 1024;

/**
 * The recent frames of a room, one behind another in memory: what a participant has not seen is one run of bytes, and
 * one write. Entries are known by their index since the room began. Bytes are never overwritten: a segment that a slow
 * outlet still holds lives on until it is written, whatever the ring has dropped.
 */
export class Ring {
  readonly #maxBytes: number;
  #slots: Slot[] = [];
  /** Index of the first of `#slots`; those before `#first` are dropped already. */
  #base = 0;
  #first = 0;
  #bytes = 0;
  #segment: Segment = { bytes: new Uint8Array(0), used: 0, to: 0 };
  #lastRuns: { readonly from: number; readonly to: number; readonly runs: readonly Run[] } = {
    from: 0,
    to: 0,
    runs: [],
  };

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Of one entry, on average. */
  get meanBytes(): number {
    return this.#bytes / Math.max(1, this.end - this.#first);
  }

  /** The oldest entry that is kept. */
  get first(): number {
    return this.#first;
  }

  /** One past the newest entry. */
  get end(): number {
    return this.#base + this.#slots.length;
  }

  append(entry: RingEntry): number {
    const { frame } = entry;
    const segment = this.#segmentFor(frame.length);
    const start = segment.used;
    segment.bytes.set(frame, start);
    segment.used += frame.length;
    const kept = segment.bytes.subarray(start, segment.used);
    this.#slots.push({ ...entry, frame: kept, segment, start, derived: undefined });
    segment.to = this.end;
    this.#bytes += frame.length;
    while (this.#bytes > this.#maxBytes && this.#first < this.end - 1) this.#dropFirst();
    return this.end - 1;
  }

  entry(index: number): RingEntry {
    return this.#slot(index);
  }

  /**
   * The entries [from, to) as runs of bytes: one for each segment that they lie in, so none is much larger than a
   * segment. Everybody who keeps up asks for the same ones, so the last answer is kept; whoever does not asks for its
   * own.
   */
  runs(from: number, to: number): readonly Run[] {
    if (from === this.#lastRuns.from && to === this.#lastRuns.to) return this.#lastRuns.runs;
    const runs: Run[] = [];
    for (let at = from; at < to; ) {
      const runFrom = at;
      const { segment, start } = this.#slot(at);
      at = Math.min(segment.to, to);
      const last = this.#slot(at - 1);
      const bytes = segment.bytes.subarray(start, last.start + last.frame.length);
      runs.push({ bytes, to: at, head: last.head, contents: this.#contents(runFrom, at) });
    }
    this.#lastRuns = { from, to, runs };
    return runs;
  }

  /** An entry in another form than the binary: made when it is first asked for, once for all. */
  derived(index: number, form: DerivedForm, derive: (frame: Uint8Array, form: DerivedForm) => Uint8Array): Uint8Array {
    const slot = this.#slot(index);
    slot.derived ??= {};
    const made = slot.derived[form] ?? derive(slot.frame, form);
    slot.derived[form] = made;
    return made;
  }

  /** The index of the first entry that stands after record `seq`; undefined where the ring no longer reaches there. */
  indexAfter(seq: number): number | undefined {
    if (this.end === 0 || this.#first === this.end) return undefined;
    const oldest = this.#slot(this.#first);
    const before = oldest.seq === 0 ? oldest.head : oldest.head - 1;
    if (seq < before) return undefined;
    let low = this.#first;
    let high = this.end;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#slot(middle).head <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Runs end with their segment, so this looks at some hundred entries at the most, for a write of 64 KiB. */
  #contents(from: number, to: number): readonly Content[] {
    const contents: (Content & Tally)[] = [];
    let present: (Content & Tally) | undefined;
    for (let at = from; at < to; at++) {
      const { payload, frame } = this.#slot(at);
      if (present?.payload !== payload) {
        present = contents.find((content) => content.payload === payload) ?? { payload, messages: 0, bytes: 0 };
        if (present.messages === 0) contents.push(present);
      }
      present.messages += 1;
      present.bytes += frame.length;
    }
    return contents;
  }

  #slot(index: number): Slot {
    const slot = this.#slots[index - this.#base];
    if (slot === undefined || index < this.#first) throw new RangeError(`the ring does not hold entry ${index}`);
    return slot;
  }

  #segmentFor(length: number): Segment {
    const present = this.#segment;
    if (present.used + length <= present.bytes.length) return present;
    const grown = Math.min(Math.max(present.bytes.length * 2, firstSegmentBytes), largestSegmentBytes);
    this.#segment = { bytes: new Uint8Array(Math.max(grown, length)), used: 0, to: this.end };
    return this.#segment;
  }

  #dropFirst(): void {
    this.#bytes -= this.#slot(this.#first).frame.length;
    this.#first += 1;
    const dropped = this.#first - this.#base;
    if (dropped >= dropLot) {
      this.#slots = this.#slots.slice(dropped);
      this.#base = this.#first;
    }
  }
}
