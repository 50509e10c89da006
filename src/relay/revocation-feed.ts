import { getLogger } from "@logtape/logtape";
import { Revocations } from "../auth/revocations.ts";
import type { SessionLog } from "../durable/session-log.ts";
import { BatonError } from "../session/reasons.ts";
import type { Revocation } from "../session/revocation.ts";

const logger = getLogger(["baton", "revocation"]);

/** Half of what a revocation may take to reach every instance, 5 s, less a failed attempt. */
const pollMs = 2_000;
const pageRevocations = 1_000;

/**
 * Tokens and users that may be revoked, in all. Each is kept for good, in the store and, some 200 bytes, in every
 * instance. At the bound a new one is refused, since to forget an old one would let its token in again.
 */
export const maxRevocations = 100_000;

/** What is revoked on this instance: what the store says, read again and again, and at once what is revoked here. */
export class RevocationFeed {
  readonly known = new Revocations();
  readonly #log: SessionLog;
  readonly #maxRevocations: number;
  #readTo = 0;
  #polledAtMs = Number.NEGATIVE_INFINITY;
  #isLoaded = false;
  #isFailing = false;

  constructor(log: SessionLog, max: number = maxRevocations) {
    this.#log = log;
    this.#maxRevocations = max;
  }

  /** Reads all that the store has. Rejects where it cannot be read: nobody is let in before. */
  async load(nowMs: number): Promise<void> {
    this.#polledAtMs = nowMs;
    await this.#readOn();
    this.#isLoaded = true;
  }

  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  isDue(nowMs: number): boolean {
    // A clock that was set back does not put the next poll off.
    return nowMs - this.#polledAtMs >= pollMs || nowMs < this.#polledAtMs;
  }

  /**
   * Reads what is new; resolves with whether there was something. Never rejects: what is known still holds, and the next
   * poll tries again. Two that are under way at once read the same, and neither waits for the other: where calls may not
   * wait for each other's I/O, one that was cut off would leave the other waiting for good.
   */
  async poll(nowMs: number): Promise<boolean> {
    this.#polledAtMs = nowMs;
    return await this.#pollOnce();
  }

  /** Resolves once it is durable, and holds here. */
  async revoke(revocation: Revocation): Promise<void> {
    if (!this.known.has(revocation) && this.known.size >= this.#maxRevocations) {
      throw new BatonError(
        "LOG_FULL",
        `${this.#maxRevocations} tokens and users are revoked already; change the key that signs tokens`,
      );
    }
    await this.#log.revoke(revocation);
    this.known.add(revocation);
  }

  async #pollOnce(): Promise<boolean> {
    const before = this.#readTo;
    try {
      await this.#readOn();
      if (this.#isFailing) logger.info("revocations can be read again");
      this.#isFailing = false;
    } catch (error) {
      const reason = error instanceof BatonError ? error.reason : "INTERNAL";
      if (!this.#isFailing) logger.error("revocations cannot be read; those that are known hold", { reason });
      this.#isFailing = true;
    }
    // Also where it failed half way.
    return this.#readTo > before;
  }

  async #readOn(): Promise<void> {
    for (;;) {
      const page = await this.#log.revocations(this.#readTo, pageRevocations);
      for (const { place, revocation } of page) {
        this.known.add(revocation);
        this.#readTo = Math.max(this.#readTo, place);
      }
      if (page.length < pageRevocations) return;
    }
  }
}
