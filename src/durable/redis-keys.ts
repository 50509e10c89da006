/**
 * Under which names a log is kept in Redis. The keys begin with the prefix in braces: where keys are spread over machines by
 * what stands in braces ("hash tags"), one log's are together, as scripts that touch several of them need it.
 */
export interface RedisKeys {
  /** Hash: the session's state, and its clients. */
  session(sessionId: string): string;
  /** Stream: its records, an entry for each append. */
  records(sessionId: string): string;
  /** Hash: its snapshots, in parts. */
  snapshots(sessionId: string): string;
  /** Channel: its doorbell. */
  doorbell(sessionId: string): string;
  /** Sorted set: the ids of all sessions. */
  readonly sessions: string;
  /** The last generation that was given, to any client of any session. */
  readonly generation: string;
  readonly secrets: string;
  /** Sorted set: what was revoked, by its place. */
  readonly revocations: string;
  /** Hash: up to when a user's tokens are revoked. */
  readonly revokedUntil: string;
}

/** `prefix`: of letters, digits, `_`, `:` and `-`. */
export function createRedisKeys(prefix: string): RedisKeys {
  const name = (kind: string) => `{${prefix}}${kind}`;
  return {
    session: (sessionId) => name(`session:${encodeName(sessionId)}`),
    records: (sessionId) => name(`records:${encodeName(sessionId)}`),
    snapshots: (sessionId) => name(`snapshots:${encodeName(sessionId)}`),
    doorbell: (sessionId) => `${prefix}doorbell:${encodeName(sessionId)}`,
    sessions: name("sessions"),
    generation: name("generation"),
    secrets: name("secrets"),
    revocations: name("revocations"),
    revokedUntil: name("revoked-until"),
  };
}

const encoder = new TextEncoder();

/** Any text as letters, digits, `-` and `_`, no two alike: what is neither letter, digit nor `-` as `_` and its bytes in hex. */
export function encodeName(text: string): string {
  return text.replace(/[^A-Za-z0-9-]/gu, (character) =>
    Array.from(encoder.encode(character), (byte) => `_${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}
