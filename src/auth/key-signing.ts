import { type CryptoKey, importPKCS8 } from "jose";
import { rsaFault } from "./key-kinds.ts";

/** What a private key can sign with; an RSA key with two of them. */
export const signingAlgorithms = ["ES256", "EdDSA", "RS256", "PS256"] as const;

export type SigningAlgorithm = (typeof signingAlgorithms)[number];

export type ImportedSigningKey =
  | { readonly kind: "key"; readonly key: CryptoKey }
  /** `message` repeats nothing of the key. */
  | { readonly kind: "refused"; readonly message: string };

const refused = (message: string): ImportedSigningKey => ({ kind: "refused", message });

/**
 * A private key from a PEM (PKCS #8), for development tokens: the relay itself needs none. `algorithm` chooses between
 * what it can sign with; left out, the first that fits.
 */
export async function importSigningKey(text: string, algorithm?: SigningAlgorithm): Promise<ImportedSigningKey> {
  const pem = text.trim();
  if (/^-----BEGIN (?:EC|RSA|ENCRYPTED) PRIVATE KEY-----/.test(pem)) {
    return refused("the key is not plain PKCS #8; make it so with: openssl pkcs8 -topk8 -nodes -in <file>");
  }
  if (!/^-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----$/.test(pem)) {
    return refused("a private key is one PEM block, -----BEGIN PRIVATE KEY-----");
  }
  for (const candidate of algorithm === undefined ? signingAlgorithms : [algorithm]) {
    const key = await importPKCS8(pem, candidate).catch(() => undefined);
    if (key === undefined) continue;
    const fault = candidate === "RS256" || candidate === "PS256" ? rsaFault(key) : undefined;
    return fault === undefined ? { kind: "key", key } : refused(fault);
  }
  return refused(`the key is not one for ${algorithm ?? signingAlgorithms.join(", ")}`);
}
