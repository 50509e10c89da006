import type { Principal } from "../auth/principal.ts";
import type { BatonError } from "../session/reasons.ts";

/** A call that reads a session without being in it. */
export interface Reading {
  readonly sessionId: string;
  readonly principal: Principal;
  readonly end: (error: BatonError) => void;
}

/** The calls of `ReadLog` and `GetSnapshot` that are under way on this instance. */
export class Readings {
  readonly #open = new Set<Reading>();

  get all(): IterableIterator<Reading> {
    return this.#open.values();
  }

  /** Until the signal is aborted, as it is when the call is over. */
  add(reading: Reading, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#open.add(reading);
    signal.addEventListener("abort", () => this.#open.delete(reading), { once: true });
  }
}
