/** What an operator no longer takes tokens for. It says nothing of a token's own times: those hold beside it. */
export type Revocation =
  /** The token with this claim `jti`. */
  | { readonly kind: "token"; readonly tokenId: string }
  /** Every token of a user that was issued (`iat`) before this instant, ms since the Unix epoch. */
  | { readonly kind: "user"; readonly userId: string; readonly issuedBeforeMs: number };

const secondMs = 1_000;

/**
 * Revokes all of a user's tokens that are out at `nowMs`. An issuer writes `iat` in whole seconds as a rule, so of a
 * token of this second nobody knows whether it came before or after: it is refused. A user who is let in again gets the
 * next token a second later.
 */
export function revokeUser(userId: string, nowMs: number): Revocation {
  return { kind: "user", userId, issuedBeforeMs: (Math.floor(nowMs / secondMs) + 1) * secondMs };
}
