import { BatonError } from "../session/reasons.ts";
import { type Claims, parseClaims } from "./claims.ts";
import { readHeader, verifyPayload } from "./compact-jws.ts";
import type { KeySource } from "./keys.ts";
import { type Principal, toMs, toPrincipal } from "./principal.ts";
import type { Revocations } from "./revocations.ts";

export interface TokenVerifierOptions {
  readonly keys: KeySource;
  /** What the claim `iss` must be; undefined = anything or nothing. */
  readonly issuer?: string;
  /** What the claim `aud` must be or contain; undefined = anything or nothing. */
  readonly audience?: string;
  /** How far the issuer's clock and ours may differ, in both directions. */
  readonly skewMs: number;
  readonly maxTokenBytes: number;
  /** Undefined: none is revoked. */
  readonly revocations?: Pick<Revocations, "isRevoked">;
}

export interface TokenVerifier {
  /**
   * Judges a JWT at `nowMs`. Rejects with `TOKEN_EXPIRED`, `TOKEN_REVOKED` or `TOKEN_INVALID`, whose message says why and
   * holds nothing of the token, and which has no cause: errors of parsers quote their input.
   */
  verify(token: string, nowMs: number): Promise<Principal>;
}

const invalid = (message: string) => new BatonError("TOKEN_INVALID", message);

/**
 * Types of token that are taken: JWTs of no particular kind and OAuth access tokens (RFC 9068). Others are made for
 * something else (`logout+jwt`, `dpop+jwt`, our own `baton-resume`), although the same key may have signed them.
 */
const acceptedTypes: ReadonlySet<string | undefined> = new Set([undefined, "jwt", "at+jwt"]);

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  return {
    async verify(token, nowMs) {
      const claims = await readClaims(token, options, nowMs);
      assertIssuedForUs(claims, options);
      assertTimely(claims, options.skewMs, nowMs);
      const principal = toPrincipal(claims);
      // Last: whoever cannot show a sound token is not told which are revoked.
      if (options.revocations?.isRevoked(principal) === true) throw new BatonError("TOKEN_REVOKED");
      return principal;
    },
  };
}

async function readClaims(token: string, { keys, maxTokenBytes }: TokenVerifierOptions, nowMs: number) {
  const read = readHeader(token, maxTokenBytes);
  if (read.kind === "refused") throw invalid(read.message);
  const { alg, kid, typ } = read.header;
  if (!keys.algorithms.has(alg)) throw invalid("token algorithm not allowed");
  if (!acceptedTypes.has(typ)) throw invalid("token type not accepted");
  const candidates = await keys.find(alg, kid, nowMs);
  if (candidates.length === 0) throw invalid("token key is not known");
  for (const { key, algorithms } of candidates) {
    const verified = await verifyPayload(token, key, algorithms);
    if (verified.kind === "mismatch") continue;
    const parsed = parseClaims(verified.value);
    if (parsed.kind === "refused") throw invalid(parsed.message);
    return parsed.claims;
  }
  throw invalid("token signature does not match");
}

function assertIssuedForUs({ iss, aud }: Claims, { issuer, audience }: TokenVerifierOptions): void {
  if (issuer !== undefined && iss !== issuer) {
    throw invalid(iss === undefined ? "iss is required" : "token issuer not accepted");
  }
  if (audience !== undefined && !(Array.isArray(aud) ? aud : [aud]).includes(audience)) {
    throw invalid(aud === undefined ? "aud is required" : "token audience not accepted");
  }
}

/**
 * Judged here and not by jose, which rounds the clock to whole seconds and looks at `iat` only under a maximal age: a
 * token is refused from the same millisecond on at which the token clock ends a stream that lives on it.
 */
function assertTimely({ iat, nbf, exp }: Claims, skewMs: number, nowMs: number): void {
  if (nowMs >= toMs(exp) + skewMs) throw new BatonError("TOKEN_EXPIRED", "token expired");
  if (nbf !== undefined && nowMs < toMs(nbf) - skewMs) throw invalid("token not yet valid");
  if (nowMs < toMs(iat) - skewMs) throw invalid("token not yet valid: iat is in the future");
}
