import type { CryptoKey } from "jose";

/** What a public key can check. `Ed25519` is the name that RFC 9864 gives to what most issuers still call `EdDSA`. */
export const publicKeyAlgorithms = ["ES256", "EdDSA", "Ed25519", "RS256", "PS256"] as const;

/** What the relay verifies. */
export type Algorithm = "HS256" | (typeof publicKeyAlgorithms)[number];

export interface VerificationKey {
  /** Undefined: a key without a name, as from a PEM or a secret; it is tried whatever `kid` a token has. */
  readonly kid: string | undefined;
  /**
   * Fixed by the kind of key, never by a token: a public key can thus not be taken for a secret. WebCrypto binds a key to
   * one way of signing, so an RSA key is two of these.
   */
  readonly algorithms: readonly Algorithm[];
  readonly key: CryptoKey;
}

/** Where a verifier finds keys: a fixed set, or one that an issuer publishes. */
export interface KeySource {
  /** Those that keys of this source can have; a token with another one is refused before a key is looked for. */
  readonly algorithms: ReadonlySet<string>;
  /**
   * The keys to try for a token with this header, at most `maxKeys`; empty = none is known. `nowMs` bounds how often it
   * may fetch. Rejects with `KEYS_UNAVAILABLE` where it cannot be known whether there is one.
   */
  find(algorithm: string, kid: string | undefined, nowMs: number): Promise<readonly VerificationKey[]>;
  /** When keys that an issuer publishes were last fetched, ms since the Unix epoch; undefined: never, or they are fixed. */
  readonly fetchedAtMs?: number | undefined;
  /** Called every now and then, so that keys are there before they are needed. Resolves when what was due is done; never rejects. */
  tend(nowMs: number): Promise<void>;
}

/** Each of them may be tried for one token, so their number bounds the work that a token can cause. */
export const maxKeys = 16;

/**
 * A set that does not change. A `kid` is looked up in a map and nowhere else. A token that names a known key is
 * verified with that key only; one that names an unknown key, with those that have no name; one that names none, with
 * all. Throws a `RangeError` where there are no keys.
 */
export function createKeySet(keys: readonly VerificationKey[]): KeySource {
  if (keys.length === 0) throw new RangeError("a key set has at least one key");
  const byKid = new Map<string | undefined, readonly VerificationKey[]>();
  for (const key of keys) byKid.set(key.kid, [...(byKid.get(key.kid) ?? []), key]);
  return {
    algorithms: new Set(keys.flatMap((key) => key.algorithms)),
    async find(algorithm, kid) {
      const candidates = kid === undefined ? keys : (byKid.get(kid) ?? byKid.get(undefined) ?? []);
      return candidates.filter(({ algorithms }) => algorithms.some((name) => name === algorithm)).slice(0, maxKeys);
    },
    async tend() {},
  };
}
