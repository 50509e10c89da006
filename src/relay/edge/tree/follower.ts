import type { LogRecord } from "../../../durable/session-log.ts";
import type { Child, Delivery, Whole } from "./tree-calls.ts";

/** Letters that wait for one delivery; beyond, the whole is cheaper. */
const maxLetters = 1_000;

const leastRetryMs = 500;
/** As long as it is tried again, the object stays in memory, since only there it is known that something is owed. */
const mostRetryMs = 300_000;

export interface FollowerOptions {
  readonly child: () => Child;
  readonly later: (run: () => void, ms: number) => void;
  /** Of records that wait for one delivery. */
  readonly maxBytes: number;
  readonly whole: () => Promise<Omit<Whole, "readers">>;
  /** Streams that only read, elsewhere than there and below. */
  readonly readersElsewhere: () => number;
  /** It says that it has so many readers more, or took everything that it was told. */
  readonly changed: (more: number) => void;
}

/**
 * An object that follows this one. One delivery is under way at a time, and what comes meanwhile goes together with the
 * next. What was perhaps lost is not kept for it: then it is told the whole, and reads from the log what it misses.
 */
export class Follower {
  readonly #options: FollowerOptions;
  #readers: number;
  #epoch = "";
  #records: LogRecord[] = [];
  #bytes = 0;
  #letters: string[] = [];
  #owesWhole = false;
  #isRunning = false;
  /** Of its calls; what was answered before the newest counts no more. */
  #calls = 0;
  #isGone = false;

  constructor(readers: number, options: FollowerOptions) {
    this.#readers = readers;
    this.#options = options;
  }

  /** At itself and below. */
  get readers(): number {
    return this.#readers;
  }

  /** It said itself that it follows no more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Nothing is under way to it. */
  get isSettled(): boolean {
    return !this.#isRunning;
  }

  /** It follows, with so many readers, and knows of nothing. */
  follow(readers: number): void {
    this.count(readers);
    this.tellWhole();
  }

  /** It says that it has so many readers. */
  count(readers: number): void {
    this.#calls += 1;
    this.#readers = readers;
  }

  tellWhole(): void {
    this.#owe();
    void this.#run();
  }

  tellRecords(epoch: string, records: readonly LogRecord[]): void {
    if (!this.#owesWhole) {
      if (this.#epoch !== "" && this.#epoch !== epoch) {
        this.#owe();
      } else {
        this.#epoch = epoch;
        this.#records.push(...records);
        for (const { frame } of records) this.#bytes += frame.length;
        if (this.#bytes > this.#options.maxBytes) this.#owe();
      }
    }
    void this.#run();
  }

  tellLetter(letter: string): void {
    if (!this.#owesWhole) {
      this.#letters.push(letter);
      if (this.#letters.length > maxLetters) this.#owe();
    }
    void this.#run();
  }

  #owe(): void {
    this.#take();
    this.#owesWhole = true;
  }

  #take() {
    const taken = { epoch: this.#epoch, records: this.#records, letters: this.#letters };
    this.#epoch = "";
    this.#records = [];
    this.#bytes = 0;
    this.#letters = [];
    this.#owesWhole = false;
    return taken;
  }

  get #hasMore(): boolean {
    return this.#owesWhole || this.#records.length > 0 || this.#letters.length > 0;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let failures = 0; this.#hasMore && !this.#isGone; ) {
      if (await this.#deliver()) {
        failures = 0;
        continue;
      }
      this.#owe();
      const waitMs = Math.min(mostRetryMs, leastRetryMs * 2 ** failures);
      failures += 1;
      await new Promise<void>((resolve) => this.#options.later(resolve, waitMs));
    }
    this.#isRunning = false;
    this.#options.changed(0);
  }

  /** Whether it was taken on. */
  async #deliver(): Promise<boolean> {
    const { child, whole, readersElsewhere, changed } = this.#options;
    const calls = this.#calls;
    const isWhole = this.#owesWhole;
    const { epoch, records, letters } = this.#take();
    try {
      const said: Delivery = isWhole
        ? { kind: "whole", ...(await whole()), readers: readersElsewhere() }
        : { kind: "more", epoch, records, letters, readers: readersElsewhere() };
      const readers = await child().deliver(said);
      if (calls !== this.#calls) return true;
      this.#isGone = readers === 0;
      const more = readers - this.#readers;
      this.#readers = readers;
      if (more !== 0) changed(more);
      return true;
    } catch {
      return false;
    }
  }
}
