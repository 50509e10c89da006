import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { type ImportedKeys, importPublicKeys, importSecret } from "../auth/key-import.ts";
import type { VerificationKey } from "../auth/keys.ts";
import { issuerUrlSchema, secretSchema } from "../runtime/token-settings.ts";

/** What tokens are checked with. Only a secret can sign them too. */
export type KeySetting =
  | { readonly kind: "development" }
  | { readonly kind: "secret"; readonly secret: Uint8Array; readonly keys: readonly VerificationKey[] }
  | { readonly kind: "public"; readonly keys: readonly VerificationKey[] }
  | { readonly kind: "jwks"; readonly url: URL };

export const jwtSecretSchema = secretSchema.transform(async (secret, context) => {
  const keys = usable(await importSecret(secret), context);
  return { kind: "secret" as const, secret, keys };
});

/** PEM blocks or a JWK (set) as text, or the path of a file with them. */
export const publicKeySchema = z.string().transform(async (text, context) => {
  const isText = text.includes("-----BEGIN") || text.trimStart().startsWith("{");
  const content = isText ? text : await readKeyFile(text);
  if (content === undefined) {
    context.addIssue(
      "is neither a PEM, nor a JWK, nor the path of a readable file of at most 64 KiB with one; give one of them",
    );
    return z.NEVER;
  }
  const keys = usable(await importPublicKeys(content), context);
  return { kind: "public" as const, keys };
});

function usable(imported: ImportedKeys, context: z.core.$RefinementCtx): readonly VerificationKey[] {
  if (imported.kind === "keys") return imported.keys;
  context.addIssue(
    `${imported.message}; give a P-256 (ES256), Ed25519 (EdDSA) or RSA (RS256, PS256) public key, or an HS256 secret`,
  );
  return z.NEVER;
}

export const jwksUrlSchema = issuerUrlSchema.transform((url) => ({ kind: "jwks" as const, url }));

const maxKeyFileBytes = 64 * 1024;

/** Undefined: there is no readable file of at most 64 KiB. */
export async function readKeyFile(path: string): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    return size <= maxKeyFileBytes ? await readFile(path, "utf8") : undefined;
  } catch {
    // The value is not told: it may be a key that was put in a wrong form.
    return undefined;
  }
}
