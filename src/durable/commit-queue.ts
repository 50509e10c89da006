import type { UndoList } from "./undo-list.ts";

/** One request's part of a transaction. A `BatonError` that it throws before it wrote anything is its own alone. */
export interface Request {
  readonly apply: (undo: UndoList) => void;
  /** Called once, after the commit, or never. */
  readonly committed: () => void;
  readonly failed: (error: unknown) => void;
  /** What it weighs in a batch: its records. */
  readonly weight: number;
}

/** Records in one transaction at most: the thread stands still meanwhile, for some 20 ms. */
const batchWeight = 4_096;

/** How often and how long a batch waits for a lock that another holds. */
const busyRetryMs = [5, 10, 20, 40, 80, 160] as const;

export type BatchResult = "done" | "busy";

/**
 * Group commit: what arrives in one turn of the event loop, from whatever session, shares a transaction and so its
 * fsync. While one runs nothing else does (SQLite is synchronous here); what comes after it is the next batch.
 */
export class CommitQueue {
  /** Commits what it can of a batch and answers it, or leaves it untouched with "busy". At `attemptsLeft` 0 it may not. */
  readonly #commit: (batch: readonly Request[], attemptsLeft: number) => BatchResult;
  #waiting: Request[] = [];
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(commit: (batch: readonly Request[], attemptsLeft: number) => BatchResult) {
    this.#commit = commit;
  }

  push(request: Request): void {
    this.#waiting.push(request);
    this.#schedule();
  }

  /** Resolves when everything that was pushed before is answered. */
  drained(): Promise<void> {
    if (this.#waiting.length === 0 && !this.#scheduled) return Promise.resolve();
    return new Promise((resolve) => void this.#idle.push(resolve));
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After the I/O callbacks of this turn, so that they all join in; a microtask would run between them.
    setImmediate(() => this.#drain(this.#takeBatch(), 0));
  }

  #takeBatch(): Request[] {
    let weight = 0;
    let count = 0;
    for (const request of this.#waiting) {
      if (count > 0 && weight + request.weight > batchWeight) break;
      weight += request.weight;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }

  #drain(batch: readonly Request[], attempt: number): void {
    const waitMs = busyRetryMs[attempt];
    if (this.#commit(batch, busyRetryMs.length - attempt) === "busy" && waitMs !== undefined) {
      setTimeout(() => this.#drain(batch, attempt + 1), waitMs);
      return;
    }
    this.#scheduled = false;
    if (this.#waiting.length > 0) {
      this.#schedule();
    } else {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }
}
