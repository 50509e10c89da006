/**
 * A token bucket: `burst` at once, `perSecond` in the long run. Time comes in with the call. One that stands under
 * another takes of both or of neither.
 */
export class Rate {
  readonly #perMs: number;
  readonly #burst: number;
  readonly #under: Rate | undefined;
  #left: number;
  #refused = false;
  #atMs: number;

  constructor(perSecond: number, burst: number, nowMs: number, under?: Rate) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#under = under;
    this.#left = burst;
    this.#atMs = nowMs;
  }

  /** Whether nothing has been taken for so long that it is as a new one. */
  isFull(nowMs: number): boolean {
    return this.#leftAt(nowMs) >= this.#burst;
  }

  /** How long after a refusal there is still none; 0 = there was none, or there is one again. */
  waitMs(nowMs: number): number {
    return this.#refused ? this.freeInMs(nowMs) : 0;
  }

  /** How long there is none; 0 = there is one. */
  freeInMs(nowMs: number): number {
    const left = this.#leftAt(nowMs);
    const own = left >= 1 ? 0 : Math.ceil((1 - left) / this.#perMs);
    return Math.max(own, this.#under?.freeInMs(nowMs) ?? 0);
  }

  /** Takes one; 0 = taken, otherwise the ms after which there is one. */
  take(nowMs: number): number {
    this.#refill(nowMs);
    const waitMs = this.freeInMs(nowMs);
    this.#refused = waitMs > 0;
    if (this.#refused) return waitMs;
    this.#left -= 1;
    this.#under?.take(nowMs);
    return 0;
  }

  /** A clock that runs backwards gives nothing, and takes nothing: it is counted on from what it says now. */
  #refill(nowMs: number): void {
    this.#left = this.#leftAt(nowMs);
    this.#atMs = nowMs;
    if (this.#under !== undefined) this.#under.#refill(nowMs);
  }

  #leftAt(nowMs: number): number {
    return Math.min(this.#burst, this.#left + Math.max(0, nowMs - this.#atMs) * this.#perMs);
  }
}
