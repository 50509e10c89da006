import type { Limits } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";

/** Over how long those are spread who are sent away. */
const spreadMs = 10_000;
/** Before that nobody comes back. */
const leastRetryMs = 1_000;

/**
 * How what is expensive comes in when all clients come at once, after a deploy say: so many at a time, the next ones in
 * the order in which they came, and those for whom the line is too long later, not all together.
 */
export class Admission {
  readonly #atOnce: number;
  readonly #mostWaiting: number;
  /** In the order in which they came. */
  readonly #waiting = new Set<(refusal?: BatonError) => void>();
  #running = 0;
  #closed: BatonError | undefined;

  constructor({ joins, joinsWaiting }: Pick<Limits, "joins" | "joinsWaiting">) {
    this.#atOnce = joins;
    this.#mostWaiting = joinsWaiting;
  }

  /** How many are under way, and how many wait. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running, waiting: this.#waiting.size };
  }

  /** From now on nobody comes in, and who waits does so no longer. */
  close(reason: BatonError): void {
    this.#closed = reason;
    for (const settle of [...this.#waiting]) settle(reason);
  }

  /**
   * Runs the work when its turn has come. Rejects with `BUSY` where too many wait, with what the admission was closed
   * with, and where the signal aborts before the turn comes.
   */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#running < this.#atOnce) this.#running += 1;
    else await this.#turn(signal);
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  /** Whoever goes hands the place on, so nobody who comes then is before those who wait. */
  #next(): void {
    const [settle] = this.#waiting;
    if (settle === undefined) this.#running -= 1;
    else settle();
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= this.#mostWaiting) {
      const retryAfterMs = leastRetryMs + Math.floor(Math.random() * spreadMs);
      throw new BatonError("BUSY", undefined, { retryAfterMs });
    }
    return new Promise((resolve, reject) => {
      const gone = () => settle(new BatonError("CLIENT_SILENT"));
      const settle = (refusal?: BatonError) => {
        this.#waiting.delete(settle);
        signal.removeEventListener("abort", gone);
        if (refusal === undefined) resolve();
        else reject(refusal);
      };
      if (signal.aborted) return reject(new BatonError("CLIENT_SILENT"));
      this.#waiting.add(settle);
      signal.addEventListener("abort", gone, { once: true });
    });
  }
}
