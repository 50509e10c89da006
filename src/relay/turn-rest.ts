import { pause } from "./pause.ts";

/** Who waits for a turn that is far looks so often what came meanwhile: together that costs less than piece by piece. */
const longestRestMs = 4;

/** The wait for a turn. While that is far, what comes gathers; when it is near, whatever comes may bring it. */
export class TurnRest {
  readonly #over: AbortSignal;
  #listening: AbortController | undefined;

  /** `over`: nothing is waited for any more. */
  constructor(over: AbortSignal) {
    this.#over = over;
    over.addEventListener("abort", () => this.stir(), { once: true });
  }

  /** Resolves when it is time to look again: after `waitMs` at the latest. `nearMs`: what of it is near. */
  async wait(waitMs: number, nearMs: number): Promise<void> {
    const farMs = waitMs - nearMs;
    if (farMs > 0) return await pause(Math.min(farMs, longestRestMs), this.#over);
    this.#listening = new AbortController();
    await pause(waitMs, this.#listening.signal);
    this.#listening = undefined;
  }

  /** Something came. */
  stir(): void {
    this.#listening?.abort();
  }
}
