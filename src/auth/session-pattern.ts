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

/** What an id begins with that a pattern stands for; an id's own pattern is the whole of it. */
const startOf = (pattern: string) => (pattern.endsWith("*") ? pattern.slice(0, -1) : pattern);

/**
 * The patterns that remain of these among the ids that begin with `prefix`: disjoint, and in the order of the ids that
 * they stand for. So whoever lists by them lists each session once, in order, and looks at no other.
 */
export function narrowPatterns(patterns: readonly string[], prefix: string): readonly string[] {
  const narrowed = new Set(
    patterns.flatMap((pattern) => {
      if (startOf(pattern).startsWith(prefix)) return [pattern];
      return pattern.endsWith("*") && prefix.startsWith(startOf(pattern)) ? [`${prefix}*`] : [];
    }),
  );
  const wide = [...narrowed].filter((pattern) => pattern.endsWith("*"));
  const isCovered = (pattern: string) =>
    wide.some((other) => other !== pattern && startOf(pattern).startsWith(startOf(other)));
  return [...narrowed].filter((pattern) => !isCovered(pattern)).sort((a, b) => (startOf(a) < startOf(b) ? -1 : 1));
}
