import { sessionIdPattern } from "../session/limits.ts";

/** Patterns in one token. More would not fit beside their token's other claims in 8 KiB at the usual length of an id. */
export const maxSessionPatterns = 100;

/**
 * Whether this is a pattern of the `sessions` claim: a session id, which stands for itself; or the beginning of one
 * and a final `*`, which stands for any rest, the empty one and one with slashes included. `*` alone stands for all.
 *
 * Anything else could match no session: it is a mistake of the issuer, and refusing its token tells so at the first
 * use, while a pattern that silently matches nothing would be found out much later. Its length is bounded with an id's.
 */
export function isSessionPattern(text: string): boolean {
  const start = text.endsWith("*") ? text.slice(0, -1) : text;
  return text === "*" || sessionIdPattern.test(start);
}

/** For an id that matches `sessionIdPattern`; that is checked before. */
export function matchesSession(patterns: readonly string[], sessionId: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith("*") ? sessionId.startsWith(pattern.slice(0, -1)) : sessionId === pattern,
  );
}
