import { importJWK } from "jose";
import { z } from "zod";
import { type ImportedKeys, importAs, type KeyKind, refused, wantedKinds } from "./key-kinds.ts";
import { maxKeys, type VerificationKey } from "./keys.ts";

/** RFC 7517, with the members of RFC 7518 section 6 and RFC 8037 that the relay reads. */
const jwkSchema = z.object({
  kty: z.string(),
  crv: z.string().optional(),
  x: z.string().optional(),
  y: z.string().optional(),
  n: z.string().optional(),
  e: z.string().optional(),
  d: z.unknown().optional(),
  k: z.unknown().optional(),
  kid: z.string().optional(),
  alg: z.string().optional(),
  use: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
});

type Jwk = z.infer<typeof jwkSchema>;

/** Whether a text is a JWK or a set of them, whatever for. */
export const isJwkText = (text: string): boolean => configuredSchema.safeParse(parseJson(text)).success;

const configuredSchema = z.union([
  z.object({ keys: z.array(jwkSchema).min(1).max(maxKeys) }).transform(({ keys }) => keys),
  jwkSchema.transform((jwk) => [jwk]),
]);

/** One JWK or a set of them, each of which has to be one that tokens can be checked with. */
export async function importJwkText(text: string): Promise<ImportedKeys> {
  const parsed = configuredSchema.safeParse(parseJson(text));
  if (!parsed.success) return refused(`not a JWK, nor a set of 1 to ${maxKeys} JWKs`);
  const keys: VerificationKey[] = [];
  for (const jwk of parsed.data) {
    const imported = await importJwk(jwk);
    if (imported.kind === "refused") return imported;
    keys.push(...imported.keys);
  }
  return { kind: "keys", keys };
}

export type PublishedKeys =
  | {
      readonly kind: "keys";
      readonly keys: readonly VerificationKey[];
      /** Why entries were left out, one sentence for each of them. */
      readonly skipped: readonly string[];
    }
  | { readonly kind: "refused"; readonly message: string };

const publishedSchema = z.object({ keys: z.array(z.unknown()) });

/**
 * The set that an issuer publishes. It may hold keys that are for something else, or of kinds that are not known here:
 * they are left out (RFC 7517 section 5). One without any key that can be used is refused. Its size is its text's, which
 * the caller bounds.
 */
export async function importPublishedSet(text: string): Promise<PublishedKeys> {
  const parsed = publishedSchema.safeParse(parseJson(text));
  if (!parsed.success) return refused("it is not a JWK set");
  const keys: VerificationKey[] = [];
  const skipped: string[] = [];
  for (const entry of parsed.data.keys) {
    const jwk = jwkSchema.safeParse(entry);
    const imported = jwk.success ? await importJwk(jwk.data) : refused("an entry is not a JWK");
    if (imported.kind === "keys") keys.push(...imported.keys);
    else skipped.push(imported.message);
  }
  if (keys.length > 0) return { kind: "keys", keys, skipped };
  return refused(["it has no key that can be used", ...new Set(skipped)].join("; "));
}

async function importJwk(jwk: Jwk): Promise<ImportedKeys> {
  const { d, k, use = "sig", key_ops: operations = ["verify"] } = jwk;
  if (d !== undefined) return refused("the JWK is a private key; the relay takes the public one");
  if (k !== undefined) return refused("the JWK is a secret; a secret has its own setting");
  if (use !== "sig" || !operations.includes("verify")) return refused("the JWK is not one for signatures");
  const kind = kindOf(jwk);
  if (kind === undefined) return refused(`the JWK is not ${wantedKinds}`);
  const bare = numbersOf(kind, jwk);
  const imported = await importAs(kind, jwk, (algorithm) => importJWK(bare, algorithm));
  return imported ?? refused("the JWK's numbers are not a key of its kind");
}

function kindOf({ kty, crv }: Jwk): KeyKind | undefined {
  if (kty === "RSA") return "RSA";
  if (kty === "EC" && crv === "P-256") return "P-256";
  return kty === "OKP" && crv === "Ed25519" ? "Ed25519" : undefined;
}

/** The key itself: what else a JWK says of its use was judged here, and not to be judged again in other words. */
function numbersOf(kind: KeyKind, { x = "", y = "", n = "", e = "" }: Jwk) {
  switch (kind) {
    case "P-256":
      return { kty: "EC", crv: "P-256", x, y };
    case "Ed25519":
      return { kty: "OKP", crv: "Ed25519", x };
    case "RSA":
      return { kty: "RSA", n, e };
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
