import { BatonError } from "../session/reasons.ts";
import type { Principal } from "./principal.ts";
import { matchesSession } from "./session-pattern.ts";

/** Throws `SCOPE_MISSING` unless the token lets its holder administrate, wherever. */
export function assertAdmin({ scopes }: Principal): void {
  if (!scopes.has("session:admin")) throw new BatonError("SCOPE_MISSING", "the token lacks the scope session:admin");
}

/**
 * Throws `SESSION_FORBIDDEN`, always in the same words, unless an admin's token names the session. It asks no store:
 * whether the session exists cannot be told from the answer.
 */
export function assertAdministers({ sessions }: Principal, sessionId: string): void {
  if (!matchesSession(sessions, sessionId)) throw new BatonError("SESSION_FORBIDDEN");
}

/** For what goes beyond one session. Throws `SESSION_FORBIDDEN` unless an admin's token names them all. */
export function assertAdministersAll({ sessions }: Principal): void {
  if (!sessions.includes("*")) {
    throw new BatonError(
      "SESSION_FORBIDDEN",
      'this goes beyond one session: it takes a token whose sessions are ["*"]',
    );
  }
}
