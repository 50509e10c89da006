import { importJwkText, isJwkText } from "./key-jwk.ts";
import { type ImportedKeys, refused } from "./key-kinds.ts";
import { importPem } from "./key-pem.ts";

export type { ImportedKeys } from "./key-kinds.ts";

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
  const text = new TextDecoder().decode(bytes);
  if (text.trimStart().startsWith("-----BEGIN ") || isJwkText(text)) {
    return refused("a secret is not a PEM or a JWK; a public key has its own setting");
  }
  const fault = secretFault(bytes);
  if (fault !== undefined) return refused(fault);
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
  return { kind: "keys", keys: [{ kid: undefined, algorithms: ["HS256"], key }] };
}

/**
 * Public keys for ES256 (P-256), EdDSA (Ed25519), RS256 and PS256 (RSA), as text: PEM blocks of keys or certificates, one
 * JWK, or a JWK set.
 */
export async function importPublicKeys(text: string): Promise<ImportedKeys> {
  if (text.trimStart().startsWith("{")) return importJwkText(text);
  // Environment files often hold a PEM in one line, its breaks written as \n.
  return importPem(text.replaceAll("\\n", "\n").trim());
}
