import { getLogger } from "@logtape/logtape";
import { assertNever, BatonError } from "../session/reasons.ts";
import { defaultTimeoutMs, fetchJwks, type JwksLocation } from "./jwks-fetch.ts";
import { importPublishedSet } from "./key-jwk.ts";
import { createKeySet, type KeySource, publicKeyAlgorithms, type VerificationKey } from "./keys.ts";

const logger = getLogger(["baton", "keys"]);

/** A set as old as this is asked for anew: how long a key that its issuer took out goes on to be good. */
const refreshMs = 5 * 60_000;
/** Between two requests, whatever asks for them: tokens that name unknown keys cost nothing to make. */
const cooldownMs = 30_000;
/** The same while there are no keys, and nobody comes in: an issuer that starts beside the relay is soon there. */
const cooldownWithoutKeysMs = 5_000;
/** How long keys are used that cannot be asked for anew: an issuer that is down over a night sends nobody away. */
const maxAgeMs = 24 * 60 * 60_000;

/** How much longer than its request an attempt may take, to the end of what is done with the answer. */
const attemptSlackMs = 1_000;

/** An issuer's keys, by the URL of its JWK set (RFC 7517 section 5). They are first asked for when it is first tended. */
export function createJwks(location: JwksLocation): KeySource {
  return new Jwks(location);
}

interface Held {
  /** As it was fetched: one that has not changed is not imported anew. */
  readonly text: string;
  readonly set: KeySource;
  readonly fetchedAtMs: number;
}

interface Attempt {
  /** Resolves when it is over; never, where the call that made it was cut off. */
  readonly over: Promise<void>;
  /** Of the monotonic clock. */
  readonly lostAtMs: number;
}

type Condition = "untried" | "current" | "stale" | "absent";

/**
 * Own, because `createRemoteJWKSet` of jose 6 drops keys that are stale although the issuer is down, asks a failing issuer
 * once for each token, and has a clock of its own.
 */
class Jwks implements KeySource {
  readonly algorithms: ReadonlySet<string> = new Set(publicKeyAlgorithms);
  readonly #location: JwksLocation;
  #held: Held | undefined;
  #attemptedAtMs: number | undefined;
  #attempt: Attempt | undefined;
  #condition: Condition = "untried";

  constructor(location: JwksLocation) {
    this.#location = location;
  }

  async find(algorithm: string, kid: string | undefined, nowMs: number): Promise<readonly VerificationKey[]> {
    const known = await this.#lookUp(algorithm, kid, nowMs);
    if (known.length > 0) return known;
    // The issuer may have a new key. Whoever asks for one at the same time waits for the same answer.
    const attempt = this.#underWay;
    if (attempt !== undefined) await this.#join(attempt);
    else if (this.#waitMs(nowMs) === 0) await this.#try(nowMs);
    const found = await this.#lookUp(algorithm, kid, nowMs);
    if (found.length > 0 || this.#condition === "current") return found;
    throw new BatonError("KEYS_UNAVAILABLE", undefined, { retryAfterMs: this.#waitMs(nowMs) });
  }

  get fetchedAtMs(): number | undefined {
    return this.#held?.fetchedAtMs;
  }

  async tend(nowMs: number): Promise<void> {
    const ageMs = this.#ageMs(nowMs);
    const isFresh = ageMs >= 0 && ageMs < refreshMs;
    if (isFresh || this.#underWay !== undefined || this.#waitMs(nowMs) > 0) return;
    await this.#try(nowMs);
  }

  async #lookUp(algorithm: string, kid: string | undefined, nowMs: number): Promise<readonly VerificationKey[]> {
    const held = this.#ageMs(nowMs) < maxAgeMs ? this.#held : undefined;
    return held === undefined ? [] : await held.set.find(algorithm, kid, nowMs);
  }

  /** Infinite where there are no keys, negative after a clock that was set back. */
  #ageMs(nowMs: number): number {
    return this.#held === undefined ? Number.POSITIVE_INFINITY : nowMs - this.#held.fetchedAtMs;
  }

  /** Until it may be asked again. After a clock that was set back: at once, and then as ever. */
  #waitMs(nowMs: number): number {
    const sinceMs = this.#attemptedAtMs === undefined ? -1 : nowMs - this.#attemptedAtMs;
    if (sinceMs < 0) return 0;
    return Math.max(0, (this.#ageMs(nowMs) < maxAgeMs ? cooldownMs : cooldownWithoutKeysMs) - sinceMs);
  }

  /** One that takes longer than it can is none: on Workers, what a call began is over with the call. */
  get #underWay(): Attempt | undefined {
    const attempt = this.#attempt;
    return attempt !== undefined && performance.now() < attempt.lostAtMs ? attempt : undefined;
  }

  /** Never rejects. */
  async #try(nowMs: number): Promise<void> {
    this.#attemptedAtMs = nowMs;
    const { timeoutMs = defaultTimeoutMs } = this.#location;
    const attempt = { over: this.#fetch(nowMs), lostAtMs: performance.now() + timeoutMs + attemptSlackMs };
    this.#attempt = attempt;
    await attempt.over;
    if (this.#attempt === attempt) this.#attempt = undefined;
  }

  /** By a timer of its own: whoever waits may be another call than the one that asks. An attempt that was lost is over then. */
  async #join(attempt: Attempt): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lost = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, attempt.lostAtMs - performance.now());
    });
    await Promise.race([attempt.over, lost]);
    clearTimeout(timer);
    if (this.#attempt === attempt) this.#attempt = undefined;
  }

  async #fetch(nowMs: number): Promise<void> {
    const fetched = await fetchJwks(this.#location);
    if (fetched.kind === "failed") return this.#fail(fetched.why, nowMs);
    const { text } = fetched;
    if (text === this.#held?.text) {
      this.#held = { ...this.#held, fetchedAtMs: nowMs };
      return this.#become("current");
    }
    const imported = await importPublishedSet(text);
    if (imported.kind === "refused") return this.#fail(imported.message, nowMs);
    const { keys, skipped } = imported;
    this.#held = { text, set: createKeySet(keys), fetchedAtMs: nowMs };
    this.#become("current");
    logger.info("the issuer's keys changed", {
      keys: keys.length,
      skipped: skipped.length,
      why: [...new Set(skipped)],
    });
  }

  #fail(why: string, nowMs: number): void {
    this.#become(this.#ageMs(nowMs) < maxAgeMs ? "stale" : "absent", why);
  }

  /** Told once, not at each attempt. */
  #become(condition: Condition, why = ""): void {
    if (condition === this.#condition) return;
    this.#condition = condition;
    const { host } = this.#location.url;
    switch (condition) {
      case "untried":
      case "current":
        logger.info("the issuer's keys are there", { host });
        return;
      case "stale":
        logger.warn("the issuer's keys cannot be fetched; the last ones go on to be used", { host, why });
        return;
      case "absent":
        logger.error("the issuer's keys cannot be fetched, and there are none; no token can be checked", { host, why });
        return;
      default:
        assertNever(condition);
    }
  }
}
