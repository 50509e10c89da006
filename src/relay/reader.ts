import { fromBinary } from "@bufbuild/protobuf";
import type { LogRecord } from "../durable/session-log.ts";
import type { Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { assertNever, BatonError } from "../session/reasons.ts";
import { clientKey, type LoggedMessage } from "../session/state.ts";
import { type Acked, ackPayload, type RelayPayload } from "./payload.ts";
import type { Ring, RingEntry } from "./ring.ts";
import type { Outlet } from "./stream.ts";
import { envelopeBytes, jsonFrameFrom } from "./wire/envelope.ts";

/** Where a reader reads from: its room. */
export interface ReaderSource {
  readonly ring: Ring;
  /** The last record that is in the ring's order. */
  readonly head: number;
  readLog(from: number, maxBytes: number): Promise<readonly LogRecord[]>;
  /** The newest frame of each client and kind that is not logged, of ring entries [from, to); `key`'s own left out. */
  conflated(from: number, to: number, key: string): readonly Uint8Array[];
  /** A message of the relay's own as a frame; `timestampMs` defaults to now. */
  encode(payload: RelayPayload, form: Outlet["form"], timestampMs?: number): Uint8Array;
}

/** What it is fed from. Behind each of the first two comes the next. */
type Feed =
  | { readonly kind: "snapshot"; readonly parts: Iterator<Snapshot> }
  | { readonly kind: "log"; readonly reading: boolean }
  | { readonly kind: "ring" };

/** Bytes that one read of the log may bring, and after which a write takes no more frames. */
const logChunkBytes = 256 * 1024;
/** Bytes of answers that may wait for a reader that is behind. */
const maxControlBytes = 256 * 1024;

/**
 * A participant's way down: a read position, and an outlet that says when it can take more. It has no queue of messages:
 * what it has not seen stays where it is, in the ring or in the log, whatever its lag.
 */
export class Reader {
  readonly outlet: Outlet;
  readonly #source: ReaderSource;
  readonly #key: string;
  /** The first of its client's numbers that it is told of by an Ack; its older records come whole. Infinite = none. */
  ackFrom: number;
  readonly #fail: (error: unknown) => void;
  #feed: Feed;
  #nextSeq: number;
  /** Index of the ring entry that comes next. */
  #position: number;
  /** Ring entries of its own client that are still before it. */
  #own: number[] = [];
  #control: Uint8Array[] = [];
  #controlBytes = 0;
  #flushWaiters: (() => void)[] = [];
  /** Nothing goes before the Welcome. */
  #welcomed = false;
  #blocked = false;
  #ended = false;
  #blockedSinceMs: number | undefined;
  readonly #now: () => number;

  constructor(options: {
    readonly outlet: Outlet;
    readonly source: ReaderSource;
    readonly key: string;
    readonly ackFrom: number;
    /** The state that comes before the records; undefined = none. */
    readonly snapshot: Iterator<Snapshot> | undefined;
    readonly fromSeq: number;
    readonly now: () => number;
    /** Its log cannot be read. */
    readonly fail: (error: unknown) => void;
  }) {
    this.outlet = options.outlet;
    this.#source = options.source;
    this.#key = options.key;
    this.ackFrom = options.ackFrom;
    this.#nextSeq = options.fromSeq;
    this.#now = options.now;
    this.#fail = options.fail;
    this.#position = options.source.ring.end;
    this.#feed =
      options.snapshot === undefined ? { kind: "log", reading: false } : { kind: "snapshot", parts: options.snapshot };
  }

  /** Since when it takes nothing; undefined = it keeps up. */
  get blockedSinceMs(): number | undefined {
    return this.#blockedSinceMs;
  }

  /** The last record that it has been told of, or that its snapshot stands for. */
  get toldSeq(): number {
    return this.#nextSeq - 1;
  }

  /** Everything that is there has been handed to the outlet, and it took it. */
  get drained(): boolean {
    const { ring } = this.#source;
    return this.#ended || (!this.#blocked && this.#feed.kind === "ring" && this.#position === ring.end);
  }

  /** Resolves when it has taken everything that is there, or has ended. */
  async flushed(): Promise<void> {
    if (this.drained) return;
    await new Promise<void>((resolve) => this.#flushWaiters.push(resolve));
  }

  /** Says Welcome, and begins to read. */
  welcome(payload: RelayPayload): void {
    this.#welcomed = true;
    this.tell(payload);
  }

  /** An answer to this participant alone. It goes before what it has not read yet. */
  tell(payload: RelayPayload, timestampMs?: number): void {
    if (this.#ended) return;
    const frame = this.#source.encode(payload, this.outlet.form, timestampMs);
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    this.pump();
    // What the outlet took is no burden, however large; what waits for a reader that is behind is.
    if (this.#controlBytes > maxControlBytes) this.#fail(new BatonError("SLOW_CONSUMER"));
  }

  /** Says an Ack again, unless it is still to come at its place of the order. */
  repeat(logged: LoggedMessage): void {
    const isToCome = logged.seq >= this.#nextSeq && logged.clientSeq >= this.ackFrom;
    if (!isToCome) this.tell(ackPayload(logged), logged.timestampMs || undefined);
  }

  /** The ring has an entry of its own client. */
  noteOwn(index: number): void {
    if (this.#feed.kind === "ring") this.#own.push(index);
  }

  end(error?: BatonError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#control = [];
    this.outlet.end(error);
    this.#release();
  }

  /** Writes what there is, until the outlet is full. */
  pump(): void {
    while (this.#welcomed && !this.#blocked && !this.#ended) {
      if (this.#control.length > 0) {
        const frames = concat(this.#control);
        this.#control = [];
        this.#controlBytes = 0;
        this.#write(frames);
      } else if (!this.#step()) {
        break;
      }
    }
    if (this.#flushWaiters.length > 0 && this.drained) this.#release();
  }

  #release(): void {
    const waiters = this.#flushWaiters;
    this.#flushWaiters = [];
    for (const resolve of waiters) resolve();
  }

  /** One write, or one move to the next feed; false when there is nothing to do for now. */
  #step(): boolean {
    const feed = this.#feed;
    switch (feed.kind) {
      case "snapshot": {
        const part = feed.parts.next();
        if (part.done === true) this.#feed = { kind: "log", reading: false };
        else this.#write(this.#source.encode({ case: "snapshot", value: part.value }, this.outlet.form));
        return true;
      }
      case "log":
        if (feed.reading) return false;
        if (!this.#enterRing()) this.#readLog();
        return this.#feed.kind === "ring";
      case "ring":
        return this.#followRing();
      default:
        return assertNever(feed);
    }
  }

  #enterRing(): boolean {
    const { ring, head } = this.#source;
    const index = this.#nextSeq > head ? ring.end : ring.indexAfter(this.#nextSeq - 1);
    if (index === undefined) return false;
    const missed = this.#source.conflated(this.#position, index, this.#key);
    this.#position = index;
    this.#own = [];
    for (let at = index; at < ring.end; at++) if (ring.entry(at).sender === this.#key) this.#own.push(at);
    this.#feed = { kind: "ring" };
    if (missed.length > 0) this.#write(concat(missed.map((frame) => this.#inForm(frame))));
    return true;
  }

  #followRing(): boolean {
    const { ring } = this.#source;
    if (this.#position === ring.end) return false;
    if (this.#position < ring.first) {
      this.#feed = { kind: "log", reading: false };
      return true;
    }
    const own = this.#own[0];
    if (own === this.#position) {
      this.#passOwn();
      return true;
    }
    const to = own ?? ring.end;
    if (this.outlet.form === "json") {
      const frame = ring.json(this.#position, (binary) => jsonFrameFrom(SessionMessageSchema, binary));
      this.#advance(this.#position + 1);
      this.#write(frame);
      return true;
    }
    const runs = ring.runs(this.#position, to);
    for (let index = 0; index < runs.length && !this.#blocked && !this.#ended; index++) {
      const run = runs[index];
      if (run === undefined) break;
      this.#nextSeq = run.head + 1;
      this.#position = run.to;
      this.#write(run.bytes);
    }
    return true;
  }

  /** What its client is told of entries of its own that lie behind one another, in one write. */
  #passOwn(): void {
    const { ring } = this.#source;
    const frames: Uint8Array[] = [];
    for (let bytes = 0; this.#own[0] === this.#position && bytes < logChunkBytes; ) {
      this.#own.shift();
      const frame = this.#ownFrame(ring.entry(this.#position));
      this.#advance(this.#position + 1);
      if (frame === undefined) continue;
      frames.push(frame);
      bytes += frame.length;
    }
    if (frames.length > 0) this.#write(concat(frames));
  }

  #advance(to: number): void {
    this.#nextSeq = this.#source.ring.entry(to - 1).head + 1;
    this.#position = to;
  }

  /** What its client is told of its own entry: nothing, an Ack, or, where it forgot it, the whole. */
  #ownFrame({ seq, clientSeq, version, timestampMs, frame }: RingEntry): Uint8Array | undefined {
    if (seq === 0) return undefined;
    return clientSeq >= this.ackFrom ? this.#ackFrame({ clientSeq, seq, version }, timestampMs) : this.#inForm(frame);
  }

  /** An Ack has its record's time: a client takes from it what the others take from the record. */
  #ackFrame(acked: Acked, timestampMs: number): Uint8Array {
    return this.#source.encode(ackPayload(acked), this.outlet.form, timestampMs);
  }

  #inForm(frame: Uint8Array): Uint8Array {
    return this.outlet.form === "json" ? jsonFrameFrom(SessionMessageSchema, frame) : frame;
  }

  #readLog(): void {
    this.#feed = { kind: "log", reading: true };
    this.#source.readLog(this.#nextSeq, logChunkBytes).then(
      (records) => {
        if (this.#ended) return;
        this.#feed = { kind: "log", reading: false };
        if (records.length === 0) {
          // The head is ahead of what the log gives: only a store that lost its tail does so.
          this.#fail(new BatonError("LOG_UNAVAILABLE"));
          return;
        }
        this.#nextSeq += records.length;
        this.#write(concat(records.map((record) => this.#recordFrame(record))));
        this.pump();
      },
      (error: unknown) => {
        const trimmed = error instanceof BatonError && error.reason === "SEQ_OUT_OF_RANGE";
        // So far behind that the log no longer reaches back: a new stream is resynced.
        this.#fail(trimmed ? new BatonError("SLOW_CONSUMER") : error);
      },
    );
  }

  #recordFrame({ frame }: LogRecord): Uint8Array {
    if (!Number.isFinite(this.ackFrom)) return this.#inForm(frame);
    const { userId, clientId, clientSeq, seq, timestamp, payload } = fromBinary(
      SessionMessageSchema,
      frame.subarray(envelopeBytes),
    );
    const isOwn = clientKey(userId, clientId) === this.#key && Number(clientSeq) >= this.ackFrom;
    if (!isOwn) return this.#inForm(frame);
    const version = payload.case === "edit" ? payload.value.version : 0;
    return this.#ackFrame({ clientSeq: Number(clientSeq), seq: Number(seq), version }, Number(timestamp));
  }

  #write(frames: Uint8Array): void {
    const behind = this.outlet.write(frames);
    if (behind === undefined) return;
    this.#blocked = true;
    this.#blockedSinceMs = this.#now();
    void behind.then(() => {
      this.#blocked = false;
      this.#blockedSinceMs = undefined;
      this.pump();
    });
  }
}

export function concat(frames: readonly Uint8Array[]): Uint8Array {
  const [only] = frames;
  if (only !== undefined && frames.length === 1) return only;
  const whole = new Uint8Array(frames.reduce((sum, frame) => sum + frame.length, 0));
  let at = 0;
  for (const frame of frames) {
    whole.set(frame, at);
    at += frame.length;
  }
  return whole;
}
