/** Without a record of others for so many of its own round trips, an instance has the session for itself. */
const rivalMemory = 8;
/** Losses in a row before the others are asked to hold back, and for how many round trips they are. */
const lossesBorne = 8;
const heldRoundTrips = 2;
/** The longest pause between two appends, for whatever reason. */
const longestPauseMs = 250;

/**
 * When an instance may append next, where others write to the same session. Of appends that race for one place the
 * first wins, and costs the others a round trip and the work of admitting their batches anew. So whoever has just won
 * lets the others go first, for about a round trip, while its next batch gathers.
 */
export class Contention {
  readonly #random: () => number;
  /** Of an append, smoothed. */
  #roundTripMs = 0;
  #rivalAtMs = Number.NEGATIVE_INFINITY;
  #nextAtMs = 0;
  /** Appends in a row that others were faster than. */
  #losses = 0;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Records of others came. */
  met(nowMs: number): void {
    this.#rivalAtMs = nowMs;
  }

  /** An append took so long, and its batch is in. */
  won(nowMs: number, tookMs: number): void {
    this.#measure(tookMs);
    this.#losses = 0;
    const isAlone = nowMs - this.#rivalAtMs > rivalMemory * this.#roundTripMs;
    if (!isAlone) this.#pause(nowMs, this.#roundTripMs * (1 + this.#random()));
  }

  /** An append took so long, and others were first. For how long they are to be asked to hold back; 0 = not. */
  lost(nowMs: number, tookMs: number): number {
    this.#measure(tookMs);
    this.met(nowMs);
    this.#losses += 1;
    if (this.#losses % lossesBorne !== 0) return 0;
    return Math.min(heldRoundTrips * this.#roundTripMs, longestPauseMs);
  }

  /** Another writer asks to be let go first. Whoever asks for itself does not hear of it. */
  holdBack(nowMs: number, ms: number): void {
    if (this.#losses < lossesBorne) this.#pause(nowMs, Math.max(ms, this.waitMs(nowMs)));
  }

  /** For how long it should not append. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#nextAtMs - nowMs);
  }

  #pause(nowMs: number, ms: number): void {
    this.#nextAtMs = nowMs + Math.min(ms, longestPauseMs);
  }

  #measure(tookMs: number): void {
    this.#roundTripMs = this.#roundTripMs === 0 ? tookMs : 0.8 * this.#roundTripMs + 0.2 * tookMs;
  }
}
