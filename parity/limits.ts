/**
 * What the relay is started with: short times, so that what happens by time happens soon, and sizes that are reached
 * quickly. By their variables, since that is how an operator sets them on every runtime.
 */
export const limits = {
  messageBytes: 32 * 1024,
  editBytes: 16 * 1024,
  unackedBytes: 32 * 1024,
  messagesPerSecond: 10,
  messagesBurst: 120,
  firstMessageMs: 1_500,
  heartbeatMs: 1_000,
  leaveGraceMs: 1_500,
  idleMs: 2_000,
  slowReaderMs: 120_000,
  tokenSkewMs: 500,
  snapshotRecords: 50,
  logRecords: 250,
  drainMs: 3_000,
} as const;

/** Of web pages: the one that may call. */
export const allowedOrigin = "https://app.example.com";

export const environment: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    Object.entries(limits).map(([name, value]) => [
      `BATON_LIMIT_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`,
      String(value),
    ]),
  ),
  BATON_ALLOWED_ORIGINS: allowedOrigin,
};
