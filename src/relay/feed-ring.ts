import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { type Gathered, gather } from "./gather.ts";
import type { ReaderFrames } from "./reader-frames.ts";
import type { ReaderSource } from "./reader-source.ts";
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
  /** Entries [from, to) it has skipped: of these it is still to be told the newest that are not logged. */
  #skippedFrom = 0;
  #skippedTo = 0;
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
    return this.#position === this.#source.ring.end && !this.#hasSkipped;
  }

  /** The oldest entry that it may still have to be told of, itself or by what is newer of its kind. */
  get oldest(): number {
    return this.#hasSkipped ? this.#skippedFrom : this.#position;
  }

  get #hasSkipped(): boolean {
    return this.#skippedFrom < this.#skippedTo;
  }

  /** Whether the ring has gone on without it: what comes next is in the log alone. */
  get isBehind(): boolean {
    return this.#position < this.#source.ring.first;
  }

  noteOwn(index: number): void {
    // Behind the ring, they are looked for anew when it enters again.
    if (this.isBehind) this.#own = [];
    else this.#own.push(index);
  }

  /**
   * Takes its place before record `nextSeq`; what it missed meanwhile of what no log has, comes first. False: the ring
   * does not reach back so far.
   */
  enter(nextSeq: number): boolean {
    const { ring, head } = this.#source;
    const index = nextSeq > head ? ring.end : ring.indexAfter(nextSeq - 1);
    if (index === undefined) return false;
    this.#skippedFrom = this.oldest;
    this.#skippedTo = index;
    this.#position = index;
    this.#nextSeq = nextSeq;
    this.#own = [];
    for (let at = index; at < ring.end; at++) if (ring.entry(at).sender === this.#frames.key) this.#own.push(at);
    return true;
  }

  /** Writes on from where it is: up to its client's next own entry, or of these as many as there are. */
  follow(): void {
    const own = this.#own[0];
    const to = own ?? this.#source.ring.end;
    const { form } = this.#frames;
    if (this.#hasSkipped) this.#passSkipped();
    else if (own === this.#position) this.#passOwn();
    else if (form === "binary") this.#passRuns(to);
    else this.#passDerived(to, form);
  }

  /** It holds none of them: what the next write takes is asked for when it comes. */
  #passSkipped(): void {
    const missed = this.#source.conflated(this.#skippedFrom, this.#skippedTo);
    const gathered = gather(missed, ({ frame }) => this.#frames.inForm(frame));
    const next = missed[gathered.count];
    this.#skippedFrom = next?.index ?? this.#skippedTo;
    if (gathered.count > 0) {
      const { meters } = this.#source;
      meters.stepped("conflated");
      meters.send("conflated", gathered.count, gathered.bytes.length);
    }
    this.#send(gathered);
  }

  /** The ring's own bytes, as they lie. */
  #passRuns(to: number): void {
    const { ring } = this.#source;
    for (const run of ring.runs(this.#position, to)) {
      ring.sent(this.#position, run.to);
      this.#nextSeq = run.head + 1;
      this.#position = run.to;
      if (!this.#write(run.bytes)) return;
    }
  }

  #passDerived(to: number, form: DerivedForm): void {
    const { ring, meters } = this.#source;
    this.#send(
      gather(this.#entries(to), (index) => {
        this.#advance();
        const frame = ring.derived(index, form, derive);
        meters.send(ring.entry(index).payload, 1, frame.length);
        return frame;
      }),
    );
  }

  /** What its client is told of entries of its own that lie behind one another, in one write. */
  #passOwn(): void {
    const { ring, meters } = this.#source;
    this.#send(
      gather(this.#ownEntries(), (index) => {
        this.#own.shift();
        this.#advance();
        const entry = ring.entry(index);
        const frame = this.#frames.ofOwn(entry);
        if (frame !== undefined) meters.send(this.#frames.payloadOfOwn(entry), 1, frame.length);
        return frame;
      }),
    );
  }

  *#entries(to: number): Generator<number> {
    while (this.#position < to) yield this.#position;
  }

  *#ownEntries(): Generator<number> {
    while (this.#own[0] === this.#position) yield this.#position;
  }

  #send({ bytes }: Gathered): void {
    if (bytes.length > 0) this.#write(bytes);
  }

  #advance(): void {
    this.#nextSeq = this.#source.ring.entry(this.#position).head + 1;
    this.#position += 1;
  }
}

const derive = (frame: Uint8Array, form: DerivedForm) => frameInForm(SessionMessageSchema, frame, form);
