import { importJWK, importSPKI } from "jose";
import { z } from "zod";
import { maxKeys, type VerificationKey } from "./keys.ts";

/**
 * Keys are read from configuration, where a bad value is expected and has to be told with all others: a value, not an
 * exception. `message` repeats nothing of the key.
 */
export type ImportedKeys =
  | { readonly kind: "keys"; readonly keys: readonly VerificationKey[] }
  | { readonly kind: "refused"; readonly message: string };

const refused = (message: string): ImportedKeys => ({ kind: "refused", message });

/** RFC 7518 section 3.2: a key for HS256 has at least the 256 bits of the hash. */
export const minSecretBytes = 32;

/** What is wrong with a secret; undefined = nothing. */
export function secretFault(secret: Uint8Array): string | undefined {
  return secret.byteLength >= minSecretBytes
    ? undefined
    : `a secret has at least ${minSecretBytes} bytes, this one ${secret.byteLength}`;
}

/**
 * A shared secret for HS256. The text of a public key is refused: everybody knows it, so everybody could sign with it.
 */
export async function importSecret(secret: string | Uint8Array): Promise<ImportedKeys> {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : Uint8Array.from(secret);
  const text = new TextDecoder().decode(bytes).trimStart();
  if (text.startsWith("-----BEGIN ") || text.startsWith("{")) {
    return refused("a secret is not a PEM or a JWK; a public key has its own setting");
  }
  const fault = secretFault(bytes);
  if (fault !== undefined) return refused(fault);
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  return { kind: "keys", keys: [{ kid: undefined, algorithms: ["HS256"], key }] };
}

/** Public keys for ES256 (P-256) and EdDSA (Ed25519): one PEM (SPKI), one JWK, or a JWK set, as text. */
export async function importPublicKeys(text: string): Promise<ImportedKeys> {
  const trimmed = text.trim();
  return trimmed.startsWith("{") ? importJwkText(trimmed) : importPem(trimmed);
}

async function importPem(text: string): Promise<ImportedKeys> {
  // Environment files often hold a PEM in one line, its breaks written as \n.
  const pem = text.replaceAll("\\n", "\n").trim();
  if (pem.includes("PRIVATE KEY-----")) return refused("this is a private key; the relay takes the public one");
  if (!/^-----BEGIN PUBLIC KEY-----[^-]+-----END PUBLIC KEY-----$/.test(pem)) {
    return refused("a public key is one PEM block, -----BEGIN PUBLIC KEY-----, or a JWK");
  }
  for (const algorithm of ["ES256", "EdDSA"] as const) {
    // WebCrypto tells the kind of a key only by refusing to import it as another.
    const key = await importSPKI(pem, algorithm).catch(() => undefined);
    if (key !== undefined) return { kind: "keys", keys: [{ kid: undefined, algorithms: namesOf(algorithm), key }] };
  }
  return refused("the PEM is not a P-256 or an Ed25519 public key");
}

const jwkSchema = z.object({
  kty: z.string(),
  crv: z.string().optional(),
  x: z.string().default(""),
  y: z.string().default(""),
  d: z.unknown().optional(),
  k: z.unknown().optional(),
  kid: z.string().optional(),
  alg: z.string().optional(),
  use: z.literal("sig").optional(),
  key_ops: z
    .array(z.string())
    .refine((operations) => operations.includes("verify"))
    .optional(),
});

const jwkTextSchema = z.union([
  z.object({ keys: z.array(jwkSchema).min(1).max(maxKeys) }).transform(({ keys }) => keys),
  jwkSchema.transform((jwk) => [jwk]),
]);

async function importJwkText(text: string): Promise<ImportedKeys> {
  const parsed = jwkTextSchema.safeParse(parseJson(text));
  if (!parsed.success) return refused(`not a JWK for signatures, nor a set of 1 to ${maxKeys} such JWKs`);
  const keys: VerificationKey[] = [];
  for (const jwk of parsed.data) {
    const outcome = await importOneJwk(jwk);
    if (typeof outcome === "string") return refused(outcome);
    keys.push(outcome);
  }
  return { kind: "keys", keys };
}

async function importOneJwk({ kty, crv, x, y, d, k, kid, alg }: z.infer<typeof jwkSchema>) {
  if (d !== undefined) return "the JWK is a private key; the relay takes the public one";
  if (k !== undefined) return "the JWK is a secret; a secret has its own setting";
  const algorithm =
    kty === "EC" && crv === "P-256" ? "ES256" : kty === "OKP" && crv === "Ed25519" ? "EdDSA" : undefined;
  if (algorithm === undefined) return "the JWK is not a P-256 or an Ed25519 public key";
  const algorithms = namesOf(algorithm).filter((name) => alg === undefined || alg === name);
  if (algorithms.length === 0) return "the JWK's alg does not fit its kind of key";
  const point = algorithm === "ES256" ? { kty, crv: "P-256", x, y } : { kty, crv: "Ed25519", x };
  const key = await importJWK(point, algorithm).catch(() => undefined);
  if (key === undefined || key instanceof Uint8Array) return "the JWK's coordinates are not a point of its curve";
  return { kid, algorithms, key } satisfies VerificationKey;
}

const namesOf = (algorithm: "ES256" | "EdDSA") =>
  algorithm === "ES256" ? (["ES256"] as const) : (["EdDSA", "Ed25519"] as const);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
