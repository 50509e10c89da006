import { CompactSign, type CryptoKey } from "jose";
import { BatonError } from "../session/reasons.ts";
import { parseClaims } from "./claims.ts";
import type { SigningAlgorithm } from "./key-signing.ts";

export interface DevelopmentClaims {
  readonly sub: string;
  /** Patterns: `demo`, `team-a/*`. */
  readonly sessions: readonly string[];
  /** Scopes separated by spaces. */
  readonly scope: string;
  readonly ttlSeconds: number;
  readonly issuer?: string;
  readonly audience?: string;
  /** The claim `jti`; default: a random one, so that the token can be revoked. */
  readonly tokenId?: string;
  /** The header's `kid`: which key of a set checks it. */
  readonly keyId?: string;
}

/**
 * Signs a JWT that this relay takes: for trying it out, not instead of an issuer. Bytes are the secret of HS256; a
 * private `CryptoKey` signs by its own algorithm. Rejects with `TOKEN_INVALID` where the relay would refuse the claims.
 */
export async function signDevelopmentToken(
  key: Uint8Array | CryptoKey,
  { sub, sessions, scope, ttlSeconds, issuer, audience, tokenId = crypto.randomUUID(), keyId }: DevelopmentClaims,
  nowMs: number,
): Promise<string> {
  const iat = Math.floor(nowMs / 1000);
  const parsed = parseClaims({
    sub,
    iat,
    exp: iat + ttlSeconds,
    sessions,
    scope,
    jti: tokenId,
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(audience === undefined ? {} : { aud: audience }),
  });
  if (parsed.kind === "refused") throw new BatonError("TOKEN_INVALID", parsed.message);
  return new CompactSign(new TextEncoder().encode(JSON.stringify(parsed.claims)))
    .setProtectedHeader({ alg: algorithmOf(key), typ: "JWT", ...(keyId === undefined ? {} : { kid: keyId }) })
    .sign(key);
}

function algorithmOf(key: Uint8Array | CryptoKey): "HS256" | SigningAlgorithm {
  if (key instanceof Uint8Array) return "HS256";
  switch (key.algorithm.name) {
    case "HMAC":
      return "HS256";
    case "ECDSA":
      return "ES256";
    case "RSASSA-PKCS1-v1_5":
      return "RS256";
    case "RSA-PSS":
      return "PS256";
    default:
      return "EdDSA";
  }
}
