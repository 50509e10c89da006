import type { SharedPayload } from "./metrics/labels.ts";
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
}

/** So many entries of this payload were sent, or one to so many readers, and that is so many bytes. */
export type CountSent = (payload: SharedPayload, messages: number, bytes: number) => void;

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
  /** Pieces that were sent and are not counted yet, which begin with it, and which end with it. */
  begun: number;
  ended: number;
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
  readonly #count: CountSent;
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

  /** Of the pieces that were sent and are not counted yet: entries [from, to) hold them all. */
  #uncountedFrom = Number.POSITIVE_INFINITY;
  #uncountedTo = 0;
  /** Those among them that began with an entry that is dropped, and end with one that is kept. */
  #underWay = 0;

  /** `count` is told what was sent of it, when an entry is dropped or `countSent` asks. */
  constructor(maxBytes: number, count: CountSent = () => undefined) {
    this.#maxBytes = maxBytes;
    this.#count = count;
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
    this.#slots.push({ ...entry, frame: kept, segment, start, derived: undefined, begun: 0, ended: 0 });
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
   * own, so one is found without a look at the entries between.
   */
  runs(from: number, to: number): readonly Run[] {
    if (from === this.#lastRuns.from && to === this.#lastRuns.to) return this.#lastRuns.runs;
    const runs: Run[] = [];
    for (let at = from; at < to; ) {
      const { segment, start } = this.#slot(at);
      at = Math.min(segment.to, to);
      const last = this.#slot(at - 1);
      runs.push({ bytes: segment.bytes.subarray(start, last.start + last.frame.length), to: at, head: last.head });
    }
    this.#lastRuns = { from, to, runs };
    return runs;
  }

  /**
   * One reader was sent the entries [from, to) as they lie. Where a piece begins and where it ends is noted, whatever lies
   * between: how many readers an entry went to is then the sum over those before it, made once for all of them.
   */
  sent(from: number, to: number): void {
    if (to <= this.#first) return;
    const begin = Math.max(from, this.#first);
    this.#slot(begin).begun += 1;
    this.#slot(to - 1).ended += 1;
    if (begin < this.#uncountedFrom) this.#uncountedFrom = begin;
    if (to > this.#uncountedTo) this.#uncountedTo = to;
  }

  /** Counts what was sent until now. */
  countSent(): void {
    const to = this.#uncountedTo;
    for (let at = Math.max(this.#uncountedFrom, this.#first); at < to; at++) this.#countSlot(this.#slot(at));
    this.#uncountedFrom = Number.POSITIVE_INFINITY;
    this.#uncountedTo = 0;
  }

  #countSlot(slot: Slot): void {
    const readers = this.#underWay + slot.begun;
    if (readers === 0) return;
    this.#count(slot.payload, readers, readers * slot.frame.length);
    this.#underWay = readers - slot.ended;
    slot.begun = 0;
    slot.ended = 0;
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
    const slot = this.#slot(this.#first);
    this.#bytes -= slot.frame.length;
    this.#countSlot(slot);
    this.#first += 1;
    const dropped = this.#first - this.#base;
    if (dropped >= dropLot) {
      this.#slots = this.#slots.slice(dropped);
      this.#base = this.#first;
    }
  }
}
