import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { concat } from "./concat.ts";
import type { ReaderFrames } from "./reader-frames.ts";
import { gatheredBytes, type ReaderSource } from "./reader-source.ts";
import type { DerivedForm } from "./ring.ts";
import { frameInForm } from "./wire/envelope.ts";

/** Hands frames to the outlet; false: it takes no more for now. */
export type Write = (frames: Uint8Array) => boolean;

/** One reader's position in the ring. */
export class RingFeed {
  readonly #source: ReaderSource;
  readonly #frames: ReaderFrames;
  readonly #write: Write;
  /** Index of the entry that comes next. */
  #position: number;
  /** Entries of its own client that are still before it. */
  #own: number[] = [];
  #nextSeq = 0;

  constructor(source: ReaderSource, frames: ReaderFrames, write: Write) {
    this.#source = source;
    this.#frames = frames;
    this.#write = write;
    this.#position = source.ring.end;
  }

  /** The record that comes next, once it has entered. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#source.ring.end;
  }

  /** Whether the ring has gone on without it: what comes next is in the log alone. */
  get isBehind(): boolean {
    return this.#position < this.#source.ring.first;
  }

  noteOwn(index: number): void {
    this.#own.push(index);
  }

  /**
   * Takes its place before record `nextSeq`, and writes what it missed meanwhile of what no log has. False: the ring does
   * not reach back so far.
   */
  enter(nextSeq: number): boolean {
    const { ring, head } = this.#source;
    const index = nextSeq > head ? ring.end : ring.indexAfter(nextSeq - 1);
    if (index === undefined) return false;
    const missed = this.#source.conflated(this.#position, index, this.#frames.key);
    this.#position = index;
    this.#nextSeq = nextSeq;
    this.#own = [];
    for (let at = index; at < ring.end; at++) if (ring.entry(at).sender === this.#frames.key) this.#own.push(at);
    if (missed.length > 0) this.#conflate(missed);
    return true;
  }

  #conflate(missed: readonly Uint8Array[]): void {
    const { meters } = this.#source;
    const frames = concat(missed.map((frame) => this.#frames.inForm(frame)));
    meters.stepped("conflated");
    meters.send("conflated", missed.length, frames.length);
    this.#write(frames);
  }

  /** Writes on from where it is: up to its client's next own entry, or of these as many as there are. */
  follow(): void {
    const own = this.#own[0];
    const to = own ?? this.#source.ring.end;
    const { form } = this.#frames;
    if (own === this.#position) this.#passOwn();
    else if (form === "binary") this.#passRuns(to);
    else this.#passDerived(to, form);
  }

  /** The ring's own bytes, as they lie. */
  #passRuns(to: number): void {
    for (const run of this.#source.ring.runs(this.#position, to)) {
      this.#nextSeq = run.head + 1;
      this.#position = run.to;
      this.#source.meters.sendContents(run.contents);
      if (!this.#write(run.bytes)) return;
    }
  }

  #passDerived(to: number, form: DerivedForm): void {
    const { ring, meters } = this.#source;
    const frames: Uint8Array[] = [];
    for (let bytes = 0; this.#position < to && bytes < gatheredBytes; ) {
      const frame = ring.derived(this.#position, form, derive);
      meters.send(ring.entry(this.#position).payload, 1, frame.length);
      this.#advance();
      frames.push(frame);
      bytes += frame.length;
    }
    this.#write(concat(frames));
  }

  /** What its client is told of entries of its own that lie behind one another, in one write. */
  #passOwn(): void {
    const { ring, meters } = this.#source;
    const frames: Uint8Array[] = [];
    for (let bytes = 0; this.#own[0] === this.#position && bytes < gatheredBytes; ) {
      this.#own.shift();
      const entry = ring.entry(this.#position);
      const frame = this.#frames.ofOwn(entry);
      this.#advance();
      if (frame === undefined) continue;
      meters.send(this.#frames.payloadOfOwn(entry), 1, frame.length);
      frames.push(frame);
      bytes += frame.length;
    }
    if (frames.length > 0) this.#write(concat(frames));
  }

  #advance(): void {
    this.#nextSeq = this.#source.ring.entry(this.#position).head + 1;
    this.#position += 1;
  }
}

const derive = (frame: Uint8Array, form: DerivedForm) => frameInForm(SessionMessageSchema, frame, form);
