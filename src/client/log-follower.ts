import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { WatchEvent } from "./log-watch.ts";

export interface FollowOptions {
  /** The first record wanted; 0: the first that is kept. */
  readonly from: number;
  /** The last; 0: it never ends. */
  readonly to: number;
  /** A range of the log as it is kept, in order; it may end early. `from` 0: from the first that is kept. */
  readonly read: (from: number, to: number, epoch: string) => AsyncIterable<SessionMessage>;
  /** Called one after the other. */
  readonly record: (message: SessionMessage) => Promise<void>;
}

/** Records that came and cannot be told yet; what comes beyond is read from the log when its turn has come. */
const maxHeld = 4_096;

/**
 * Puts what a watch hears and what is read from the log into one row: every record from the first wanted one on, each
 * once, in order, over any number of streams.
 */
export class LogFollower {
  readonly #options: FollowOptions;
  #next: number;
  #head = 0;
  #epoch: string | undefined;
  #held: SessionMessage[] = [];
  #isBusy = false;
  #isOver = false;
  readonly #finished = Promise.withResolvers<"end" | "epoch-changed">();

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#next = options.from;
  }

  /** Resolves after the last record, or when the log became another one. Rejects where the log cannot give a record. */
  get finished(): Promise<"end" | "epoch-changed"> {
    return this.#finished.promise;
  }

  heard(event: WatchEvent): void {
    if (event.kind === "head") {
      if (this.#epoch !== undefined && this.#epoch !== event.epoch) {
        this.#isOver = true;
        this.#finished.resolve("epoch-changed");
        return;
      }
      this.#epoch = event.epoch;
      this.#head = Math.max(this.#head, event.seq);
    } else {
      this.#head = Math.max(this.#head, Number(event.message.seq));
      if (this.#held.length < maxHeld) this.#held.push(event.message);
    }
    void this.#tell();
  }

  async #tell(): Promise<void> {
    if (this.#isBusy || this.#isOver) return;
    this.#isBusy = true;
    try {
      while (!this.#isOver && this.#next <= this.#last) {
        const told = (await this.#tellHeld()) || (await this.#tellRead());
        // The log could not be reached: the next Welcome says that it can.
        if (!told) break;
      }
    } catch (error) {
      this.#isOver = true;
      this.#finished.reject(error);
    } finally {
      this.#isBusy = false;
    }
    if (this.#options.to > 0 && this.#next > this.#options.to) {
      this.#isOver = true;
      this.#finished.resolve("end");
    }
  }

  /** The last record that is there and wanted. */
  get #last(): number {
    const { to } = this.#options;
    return to === 0 ? this.#head : Math.min(to, this.#head);
  }

  async #tellHeld(): Promise<boolean> {
    for (;;) {
      const [first] = this.#held;
      if (first === undefined || Number(first.seq) > this.#next || this.#next === 0) return false;
      this.#held.shift();
      if (Number(first.seq) < this.#next) continue;
      await this.#tellOne(first);
      return true;
    }
  }

  async #tellRead(): Promise<boolean> {
    if (this.#head === 0) return false;
    const [held] = this.#held;
    const isGap = held !== undefined && this.#next > 0;
    const to = isGap ? Math.min(this.#last, Number(held.seq) - 1) : this.#last;
    let told = false;
    for await (const message of this.#options.read(this.#next, to, this.#epoch ?? "")) {
      if (this.#next !== 0 && Number(message.seq) !== this.#next) continue;
      await this.#tellOne(message);
      told = true;
    }
    return told;
  }

  async #tellOne(message: SessionMessage): Promise<void> {
    this.#next = Number(message.seq) + 1;
    await this.#options.record(message);
  }
}
