/** A token bucket: `burst` at once, `perSecond` in the long run. Time comes in with the call. */
export class Rate {
  readonly #perMs: number;
  readonly #burst: number;
  #left: number;
  #refused = false;
  #atMs: number;

  constructor(perSecond: number, burst: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#left = burst;
    this.#atMs = nowMs;
  }

  /** Whether nothing has been taken for so long that it is as a new one. */
  isFull(nowMs: number): boolean {
    return this.#left + Math.max(0, nowMs - this.#atMs) * this.#perMs >= this.#burst;
  }

  /** How long after a refusal there is still none; 0 = there was none, or there is one again. */
  waitMs(nowMs: number): number {
    return this.#refused ? this.freeInMs(nowMs) : 0;
  }

  /** How long there is none; 0 = there is one. */
  freeInMs(nowMs: number): number {
    const left = this.#left + Math.max(0, nowMs - this.#atMs) * this.#perMs;
    return left >= 1 ? 0 : Math.ceil((1 - left) / this.#perMs);
  }

  /** Takes one; 0 = taken, otherwise the ms after which there is one. A clock that runs backwards gives nothing. */
  take(nowMs: number): number {
    this.#left = Math.min(this.#burst, this.#left + Math.max(0, nowMs - this.#atMs) * this.#perMs);
    this.#atMs = nowMs;
    this.#refused = this.#left < 1;
    if (!this.#refused) {
      this.#left -= 1;
      return 0;
    }
    return Math.ceil((1 - this.#left) / this.#perMs);
  }
}
