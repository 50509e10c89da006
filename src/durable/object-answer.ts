import { BatonError, isReason, type Reason } from "../session/reasons.ts";

/**
 * What a call between objects resolves with. What is expected to go wrong crosses as a value: of an error that is thrown
 * there, nobody promises what arrives here.
 */
export type Answer<T> =
  | { readonly kind: "answered"; readonly value: T }
  | { readonly kind: "refused"; readonly reason: Reason; readonly message: string; readonly retryAfterMs: number };

/** On the side that is asked. */
export async function answer<T>(work: () => T | Promise<T>): Promise<Answer<T>> {
  try {
    return { kind: "answered", value: await work() };
  } catch (error) {
    if (!(error instanceof BatonError)) throw error;
    const { reason, message, retryAfterMs } = error;
    return { kind: "refused", reason, message, retryAfterMs };
  }
}

/** How long one who asked too much of an object is to leave it alone: so that not all come back at once, up to the sum. */
const leastRetryMs = 2_000;
const spreadMs = 2_000;

/**
 * What became of a call without an answer. The platform marks its own failures. `overloaded`: the object has more to do
 * than it can; whoever asks again at once makes it worse. Of all others nobody knows whether the call had an effect.
 */
export function unanswered(error: unknown): BatonError {
  if (!isMarked(error, "overloaded")) return new BatonError("LOG_UNAVAILABLE", undefined, { cause: error });
  const retryAfterMs = leastRetryMs + Math.floor(Math.random() * spreadMs);
  return new BatonError("OVERLOADED", undefined, { cause: error, retryAfterMs });
}

/**
 * On the side that asks: what was answered.
 *
 * @throws BatonError what was refused, or as of `unanswered`
 */
export async function ask<T>(call: () => Promise<Answer<T>>): Promise<T> {
  const answered = await call().catch((error: unknown) => {
    throw unanswered(error);
  });
  if (answered.kind === "answered") return answered.value;
  const { reason, message, retryAfterMs } = answered;
  // The object may be of newer code.
  throw new BatonError(isReason(reason) ? reason : "INTERNAL", message, { retryAfterMs });
}

/**
 * As `ask`, for what only reads: it is asked once more where the object was replaced just now. Each call has to go by a
 * stub of its own, since one that failed once fails for good.
 */
export async function askAgain<T>(call: () => Promise<Answer<T>>): Promise<T> {
  return await ask(() =>
    call().catch((error: unknown) => {
      if (!isMarked(error, "retryable") || isMarked(error, "overloaded")) throw error;
      return call();
    }),
  );
}

function isMarked(error: unknown, mark: "retryable" | "overloaded"): boolean {
  return error instanceof Error && mark in error && Reflect.get(error, mark) === true;
}
