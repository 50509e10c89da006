/** When something happens to a stream because of the token that it lives on. All times are ms since the Unix epoch. */
export interface TokenTimes {
  /** When the client is told that its token is about to expire; never before the token was accepted. */
  readonly expiringAtMs: number;
  /** From then on nothing is admitted or delivered; the stream ends as `TOKEN_EXPIRED`. */
  readonly endsAtMs: number;
}

const minNoticeMs = 30_000;
const maxNoticeMs = 5 * 60_000;

/**
 * The notice comes when 20 % of the lifetime, counted from the token's `iat`, is left, but at least 30 s (a client has
 * to fetch a token) and at most 5 min before `exp` (a long-lived token need not be renewed hours early). A token that
 * lives 30 s or less would be told at once, and so would each that replaces it, without end: 20 % holds for it.
 *
 * Times may lie in the past; a caller who sets a timer waits at least 0.
 */
export function tokenTimes(
  token: { readonly issuedAtMs: number; readonly expiresAtMs: number },
  acceptedAtMs: number,
  skewMs: number,
): TokenTimes {
  const lifetimeMs = token.expiresAtMs - token.issuedAtMs;
  const fifthMs = Math.floor(lifetimeMs / 5);
  const noticeMs = lifetimeMs <= minNoticeMs ? fifthMs : Math.min(Math.max(fifthMs, minNoticeMs), maxNoticeMs);
  return {
    expiringAtMs: Math.max(acceptedAtMs, token.expiresAtMs - noticeMs),
    endsAtMs: token.expiresAtMs + skewMs,
  };
}
