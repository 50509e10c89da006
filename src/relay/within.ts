import { BatonError, type Reason } from "../session/reasons.ts";

/** What a promise brings, if it does so in time; otherwise an error with this reason. */
export async function within<T>(timeoutMs: number, promise: Promise<T>, reason: Reason): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new BatonError(reason)), timeoutMs);
  });
  // Where the timeout comes first, the promise's own failure is nobody's any more.
  promise.catch(() => undefined);
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
