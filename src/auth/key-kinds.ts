import type { CryptoKey } from "jose";
import { z } from "zod";
import type { Algorithm, VerificationKey } from "./keys.ts";

/**
 * Keys are read from configuration or from an issuer, where a bad value is expected: a value, not an exception. `message`
 * repeats nothing of the key.
 */
export type ImportedKeys =
  | { readonly kind: "keys"; readonly keys: readonly VerificationKey[] }
  | { readonly kind: "refused"; readonly message: string };

export const refused = (message: string) => ({ kind: "refused", message }) as const;

/** The kinds of public key, and for each the ways of signing that it can check, with all the names of each way. */
const waysOf = {
  "P-256": [["ES256"]],
  Ed25519: [["EdDSA", "Ed25519"]],
  RSA: [["RS256"], ["PS256"]],
} as const satisfies Record<string, readonly (readonly Algorithm[])[]>;

export type KeyKind = keyof typeof waysOf;
export const keyKinds: readonly KeyKind[] = ["P-256", "Ed25519", "RSA"];

export const wantedKinds = "a P-256, an Ed25519 or an RSA public key";

export interface KeyLabel {
  readonly kid?: string | undefined;
  /** Narrows what the key checks to this one. */
  readonly alg?: string | undefined;
}

/**
 * A public key of this kind, once for each way of signing. Undefined: it is not of this kind, or damaged; WebCrypto tells
 * that by refusing to import it, and nothing more exact.
 */
export async function importAs(
  kind: KeyKind,
  { kid, alg }: KeyLabel,
  load: (algorithm: Algorithm) => Promise<CryptoKey | Uint8Array>,
): Promise<ImportedKeys | undefined> {
  const keys: VerificationKey[] = [];
  for (const names of waysOf[kind]) {
    const algorithms = names.filter((name) => alg === undefined || name === alg);
    if (algorithms.length === 0) continue;
    const key = await load(names[0]).catch(() => undefined);
    if (key === undefined || key instanceof Uint8Array) return undefined;
    if (kind === "P-256" && !(await isOnCurve(key))) return undefined;
    const fault = kind === "RSA" ? rsaFault(key) : undefined;
    if (fault !== undefined) return refused(fault);
    keys.push({ kid, algorithms, key });
  }
  return keys.length === 0 ? refused("the JWK's alg does not fit its kind of key") : { kind: "keys", keys };
}

/** Deno 2.9.6 imports any two numbers as a P-256 key, and fails at the first signature that it is to check. */
async function isOnCurve(key: CryptoKey): Promise<boolean> {
  const checked = crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, new Uint8Array(64), new Uint8Array());
  return await checked.then(
    () => true,
    () => false,
  );
}

/** RFC 7518 section 3.3. A larger key than this makes each token that names it costly, and no issuer has one. */
const rsaBits = { min: 2048, max: 8192 };
/** FIPS 186-5, appendix A.1.1: odd and above 2^16. Under 1, which WebCrypto imports, every message signs itself. */
const rsaExponent = { min: 65_537, maxBytes: 4 };

const rsaSchema = z.object({ modulusLength: z.number(), publicExponent: z.instanceof(Uint8Array) });

/** What is wrong with an RSA key; undefined = nothing. WebCrypto takes keys of any size and any exponent. */
export function rsaFault({ algorithm }: CryptoKey): string | undefined {
  const parsed = rsaSchema.safeParse(algorithm);
  if (!parsed.success) return "this is no RSA key";
  const { modulusLength, publicExponent } = parsed.data;
  if (modulusLength < rsaBits.min || modulusLength > rsaBits.max) {
    return `an RSA key has ${rsaBits.min} to ${rsaBits.max} bits, this one ${modulusLength}`;
  }
  const exponent = publicExponent.reduce((value, byte) => value * 256 + byte, 0);
  return publicExponent.length <= rsaExponent.maxBytes && exponent >= rsaExponent.min && exponent % 2 === 1
    ? undefined
    : `an RSA key's public exponent is odd, at least ${rsaExponent.min} and below 2^32`;
}
