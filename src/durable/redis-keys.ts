/**
 * Under which names a log is kept in Redis. All begin with the prefix, and it stands in braces: where keys are spread by
 * them ("hash tags"), one log's are together, as scripts that touch several need it.
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

/** `prefix` has no braces. */
export function createRedisKeys(prefix: string): RedisKeys {
  const name = (kind: string) => `{${prefix}}${kind}`;
  return {
    session: (sessionId) => name(`session:${encodeName(sessionId)}`),
    records: (sessionId) => name(`records:${encodeName(sessionId)}`),
    snapshots: (sessionId) => name(`snapshots:${encodeName(sessionId)}`),
    doorbell: (sessionId) => name(`doorbell:${encodeName(sessionId)}`),
    sessions: name("sessions"),
    generation: name("generation"),
    secrets: name("secrets"),
    revocations: name("revocations"),
    revokedUntil: name("revoked-until"),
  };
}

/** Different for every two names. Those that the relay allows stay as they are; all other characters are written out. */
export function encodeName(name: string): string {
  return name.replace(/[^A-Za-z0-9._/-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
