import type { Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import { assertNever, BatonError } from "../session/reasons.ts";
import type { LoggedMessage } from "../session/state.ts";
import { concat } from "./concat.ts";
import { readFromLog } from "./feed-log.ts";
import { RingFeed } from "./feed-ring.ts";
import { ackPayload, countTold, type RelayPayload } from "./payload.ts";
import { ReaderFrames } from "./reader-frames.ts";
import type { FetchResync, ReaderSource } from "./reader-source.ts";
import type { Outlet } from "./stream.ts";

/** What it is fed from, and from which record on. Behind each but the last comes the next; a piece of the log, many times. */
type Feed =
  | { readonly kind: "snapshot"; readonly nextSeq: number; readonly parts: Iterator<Snapshot> }
  | { readonly kind: "log"; readonly nextSeq: number }
  /** What comes next is being fetched: a piece of the log, or the state in its place. */
  | { readonly kind: "fetching"; readonly nextSeq: number }
  | { readonly kind: "ring" };

/** Bytes of answers that may wait for a reader that is behind: those to a batch of messages, each refused, and more. */
const maxControlBytes = 128 * 1024;

/**
 * A participant's way down: a read position, and an outlet that says when it can take more. It has no queue of messages:
 * what it has not seen stays where it is, in the ring or in the log, whatever its lag. So what one stream holds is what
 * one write takes, and the answers that wait behind it.
 */
export class Reader {
  readonly outlet: Outlet;
  readonly #source: ReaderSource;
  readonly #frames: ReaderFrames;
  readonly #ring: RingFeed;
  readonly #fetchResync: FetchResync;
  readonly #fail: (error: unknown) => void;
  #feed: Feed;
  #control: Uint8Array[] = [];
  #controlBytes = 0;
  #flushWaiters: (() => void)[] = [];
  /** Nothing goes before the Welcome. */
  #welcomed = false;
  #blocked = false;
  #ended = false;
  #blockedSinceMs: number | undefined;
  /** Of the times that are over in which it took nothing. */
  #blockedMs = 0;
  readonly #now: () => number;

  constructor(options: {
    readonly outlet: Outlet;
    readonly source: ReaderSource;
    /** Of its client. */
    readonly key: string;
    /** The first of its client's numbers that it is told of by an Ack; its older records come whole. Infinite = none. */
    readonly ackFrom: number;
    /** The state that comes before the records; undefined = none. */
    readonly snapshot: Iterator<Snapshot> | undefined;
    readonly fromSeq: number;
    readonly now: () => number;
    readonly fetchResync: FetchResync;
    /** Its log cannot be read. */
    readonly fail: (error: unknown) => void;
  }) {
    const { outlet, source, key, ackFrom, snapshot, fromSeq } = options;
    this.outlet = outlet;
    this.#source = source;
    this.#frames = new ReaderFrames({ form: outlet.form, key, ackFrom, source });
    this.#ring = new RingFeed(source, this.#frames, (frames) => this.#write(frames));
    this.#now = options.now;
    this.#fetchResync = options.fetchResync;
    this.#fail = options.fail;
    this.#feed =
      snapshot === undefined
        ? { kind: "log", nextSeq: fromSeq }
        : { kind: "snapshot", parts: snapshot, nextSeq: fromSeq };
  }

  get ackFrom(): number {
    return this.#frames.ackFrom;
  }

  set ackFrom(clientSeq: number) {
    this.#frames.ackFrom = clientSeq;
  }

  /** Since when it takes nothing; undefined = it keeps up. */
  get blockedSinceMs(): number | undefined {
    if (this.#blockedSinceMs === undefined) return undefined;
    return Math.max(this.#blockedSinceMs, this.outlet.tookPieceAtMs ?? 0);
  }

  /** Time in which nothing could be written is not held against it. */
  forgive(ms: number): void {
    if (this.#blockedSinceMs !== undefined) this.#blockedSinceMs += ms;
  }

  /** For how long it took nothing, all in all, up to now. */
  get blockedMs(): number {
    const { blockedSinceMs } = this;
    return this.#blockedMs + (blockedSinceMs === undefined ? 0 : this.#now() - blockedSinceMs);
  }

  /** The last record that it has been told of, or that its snapshot stands for. */
  get toldSeq(): number {
    return this.#nextSeq - 1;
  }

  /** The oldest of the ring's entries that it may still have to be told of. */
  get oldestEntry(): number {
    return this.#ring.oldest;
  }

  get #nextSeq(): number {
    return this.#feed.kind === "ring" ? this.#ring.nextSeq : this.#feed.nextSeq;
  }

  /** Everything that is there has been handed to the outlet, and it took it. */
  get drained(): boolean {
    return this.#ended || (!this.#blocked && this.#feed.kind === "ring" && this.#ring.isAtEnd);
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

  /** Reads on; its client was welcomed before. */
  goOn(): void {
    this.#welcomed = true;
    this.pump();
  }

  /** An answer to this participant alone. It goes before what it has not read yet. */
  tell(payload: RelayPayload, timestampMs?: number): void {
    if (this.#ended) return;
    const frame = this.#source.encode(payload, this.outlet.form, timestampMs);
    countTold(this.#source.meters, payload, frame.length);
    this.#control.push(frame);
    this.#controlBytes += frame.length;
    this.pump();
    // What the outlet took is no burden, however large; what waits for a reader that is behind is.
    if (this.#controlBytes > maxControlBytes) this.#fail(new BatonError("SLOW_CONSUMER"));
  }

  /** Says an Ack again, unless it is still to come at its place of the order. */
  repeat(logged: LoggedMessage): void {
    const isToCome = logged.seq >= this.#nextSeq && logged.clientSeq >= this.#frames.ackFrom;
    if (!isToCome) this.tell(ackPayload(logged), logged.timestampMs || undefined);
  }

  /** The ring has an entry of its own client. */
  noteOwn(index: number): void {
    if (this.#feed.kind === "ring") this.#ring.noteOwn(index);
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
        if (part.done === true) {
          this.#feed = { kind: "log", nextSeq: feed.nextSeq };
        } else {
          const frame = this.#source.encode({ case: "snapshot", value: part.value }, this.outlet.form);
          this.#source.meters.send("snapshot", 1, frame.length);
          this.#write(frame);
        }
        return true;
      }
      case "log":
        if (this.#ring.enter(feed.nextSeq)) {
          this.#feed = { kind: "ring" };
          return true;
        }
        this.#fetch(feed.nextSeq);
        return false;
      case "fetching":
        return false;
      case "ring":
        if (this.#ring.isAtEnd) return false;
        if (this.#ring.isBehind) {
          this.#feed = { kind: "log", nextSeq: this.#ring.nextSeq };
          this.#source.meters.stepped("log");
        } else {
          this.#ring.follow();
        }
        return true;
      default:
        return assertNever(feed);
    }
  }

  /** The next piece of the log, or, where that is due, the state in place of all that it missed. */
  #fetch(nextSeq: number): void {
    this.#feed = { kind: "fetching", nextSeq };
    this.#fetchNext(nextSeq).then(
      (write) => {
        this.#feed = { kind: "log", nextSeq };
        // An answer may have been written meanwhile, and the outlet be full: nothing is held, it is fetched again.
        if (!this.#blocked && !this.#ended) write();
        this.pump();
      },
      (error: unknown) => {
        if (!this.#ended) this.#fail(error);
      },
    );
  }

  async #fetchNext(nextSeq: number): Promise<() => void> {
    const fetching = this.#fetchResync(nextSeq);
    const resync = fetching && (await fetching);
    if (resync !== undefined) {
      return () => {
        this.#feed = { kind: "snapshot", parts: resync.parts, nextSeq: resync.nextSeq };
        this.#source.meters.stepped("resynced");
        this.#write(this.#source.encode(resync.welcome, this.outlet.form));
      };
    }
    const piece = await readFromLog(this.#source, this.#frames, nextSeq);
    return () => {
      this.#feed = { kind: "log", nextSeq: piece.nextSeq };
      this.#source.meters.send("record", piece.nextSeq - nextSeq, piece.bytes.length);
      this.#write(piece.bytes);
    };
  }

  /** Whether more may follow. */
  #write(frames: Uint8Array): boolean {
    this.#source.meters.writes += 1;
    const behind = this.outlet.write(frames);
    if (behind !== undefined) {
      this.#blocked = true;
      this.#blockedSinceMs = this.#now();
      void behind.then(() => {
        this.#blockedMs = this.blockedMs;
        this.#blocked = false;
        this.#blockedSinceMs = undefined;
        this.pump();
      });
    }
    return !this.#blocked && !this.#ended;
  }
}
