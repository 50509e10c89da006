import { BatonError } from "../session/reasons.ts";
import type { Claims } from "./claims.ts";
import { parseScopes, type Scope } from "./scopes.ts";
import { matchesSession } from "./session-pattern.ts";

/** Who a verified token says it is, and what it may do. */
export interface Principal {
  /** The claim `sub`. */
  readonly userId: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Patterns of the sessions it may enter. */
  readonly sessions: readonly string[];
  /** The claim `iat`, ms since the Unix epoch. */
  readonly issuedAtMs: number;
  /** The claim `exp`, ms since the Unix epoch; no skew is added. */
  readonly expiresAtMs: number;
  /** The claim `jti`, by which one token can be revoked. */
  readonly tokenId: string | undefined;
}

/** Whole milliseconds: what goes into an int64 of the contract. */
export const toMs = (seconds: number): number => Math.floor(seconds * 1000);

export function toPrincipal(claims: Claims): Principal {
  return {
    userId: claims.sub,
    scopes: parseScopes(claims.scope),
    sessions: claims.sessions,
    issuedAtMs: toMs(claims.iat),
    expiresAtMs: toMs(claims.exp),
    tokenId: claims.jti,
  };
}

/**
 * Throws `SESSION_FORBIDDEN`, always in the same words, unless the token names the session and lets it read. It asks no store: whether
 * the session exists cannot be told from the answer or from its time.
 */
export function assertMayEnter(principal: Principal, sessionId: string): void {
  const named = matchesSession(principal.sessions, sessionId);
  if (!named || !principal.scopes.has("session:read")) throw new BatonError("SESSION_FORBIDDEN");
}
