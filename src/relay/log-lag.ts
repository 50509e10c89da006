import { BatonError } from "../session/reasons.ts";
import { patienceMs } from "./append-patiently.ts";

interface Waiter {
  readonly head: number;
  readonly resolve: () => void;
  readonly reject: (error: BatonError) => void;
}

/** What is known of how far the log is ahead of a state, and who waits for the state to come there. */
export class LogLag {
  readonly #state: { readonly head: number };
  /** The log has come so far, if what was said is true. */
  #saidHead = 0;
  /** Of that, what was said since the last read began, which may have come too late for it. */
  #saidSince = 0;
  /** Something is there, or went, and it was not said what. */
  #hasMissed = false;
  #wasRung = false;
  #waiters: Waiter[] = [];
  /** Since when what is surely there is not found; of the monotonic clock. */
  #staleSinceMs: number | undefined;

  constructor(state: { readonly head: number }) {
    this.#state = state;
  }

  /** There is something to read. */
  get isBehind(): boolean {
    return this.#hasMissed || this.#saidHead > this.#state.head;
  }

  /** Somebody rang since the last read: there may be something to read. */
  get wasRung(): boolean {
    return this.#wasRung;
  }

  /** What is surely there was not found by the last read. */
  get isStale(): boolean {
    return this.#staleSinceMs !== undefined;
  }

  /** The doorbell. Whether there is anything to be done about it. */
  rang(head: number | undefined): boolean {
    if (head === undefined) {
      this.#wasRung = true;
    } else {
      this.#saidHead = Math.max(this.#saidHead, head);
      this.#saidSince = Math.max(this.#saidSince, head);
    }
    return head === undefined || this.isBehind;
  }

  /** The log does not go on from here, or not as it was thought to. */
  missed(): void {
    this.#hasMissed = true;
  }

  /** Resolves when the state has come to `head`, which the log has surely reached, or when nothing goes on here. */
  async reach(head: number): Promise<void> {
    this.#saidHead = Math.max(this.#saidHead, head);
    await new Promise<void>((resolve, reject) => this.#waiters.push({ head, resolve, reject }));
  }

  /** The state has moved. */
  moved(): void {
    this.#staleSinceMs = undefined;
    const { head } = this.#state;
    for (const waiter of this.#waiters) if (waiter.head <= head) waiter.resolve();
    this.#waiters = this.#waiters.filter((waiter) => waiter.head > head);
  }

  /** A read begins: it answers all that was said until now. */
  reading(): void {
    this.#saidSince = 0;
    this.#wasRung = false;
    this.#hasMissed = false;
  }

  /** The read that began told all that it could. */
  readAll(nowMs: number): void {
    // A bell may say anything; who waits, was told by the log.
    this.#saidHead = this.#waiters.reduce((most, { head }) => Math.max(most, head), this.#saidSince);
    if (this.#waiters.length > 0) this.stale(nowMs);
  }

  /** The copy that answered is behind. It is waited for, as long as for a log that does not answer. */
  stale(nowMs: number): void {
    this.#staleSinceMs ??= nowMs;
    if (nowMs - this.#staleSinceMs >= patienceMs) this.failed(new BatonError("LOG_UNAVAILABLE"));
    else this.#hasMissed = true;
  }

  /** It cannot be read now; the next bell, or the next look at it, tries again. */
  failed(error: BatonError): void {
    this.#saidHead = 0;
    this.#hasMissed = false;
    this.#staleSinceMs = undefined;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(error);
  }

  /** Nothing goes on here. */
  end(): void {
    for (const { resolve } of this.#waiters) resolve();
    this.#waiters = [];
  }
}
