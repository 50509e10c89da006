const firstMs = 1_000;
const longestMs = 30_000;

/**
 * How long to wait before attempt 1, 2, 3, ...: a second, doubling to 30 s, with full jitter, so that clients which lost
 * the same relay do not come back as one.
 */
export function backoffMs(attempt: number, random: number): number {
  return Math.round(random * Math.min(longestMs, firstMs * 2 ** Math.max(0, attempt - 1)));
}
