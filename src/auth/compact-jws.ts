import { base64url, type CryptoKey, compactVerify, errors } from "jose";
import { z } from "zod";
import { parseStrictJson } from "./strict-json.ts";

/**
 * Signed compact tokens (RFC 7515 section 3.1), read with suspicion. What is expected of a stranger's token, that it
 * is wrong, is a value here; errors of parsers are dropped, because they quote what they could not read.
 */

/**
 * Base64url without padding, and with zeros in the bits that no byte takes: decoders ignore these bits and spaces, so
 * that one token would have many spellings.
 */
const base64Url = "(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?";
const compactForm = new RegExp(`^${base64Url}\\.${base64Url}\\.${base64Url}$`);

/** Header parameters that change what the payload means. None is supported, so each refuses the token. */
const refusedParameters = ["crit", "b64", "zip", "cty", "enc"];

const objectSchema = z.record(z.string(), z.unknown());

const headerSchema = z.object({
  alg: z.string(),
  kid: z.string().optional(),
  typ: z.string().optional(),
});

export interface JwsHeader {
  readonly alg: string;
  readonly kid: string | undefined;
  /** A media type without its `application/`, in lower case (RFC 7515 section 4.1.9). */
  readonly typ: string | undefined;
}

export type ReadHeader =
  | { readonly kind: "header"; readonly header: JwsHeader }
  /** `message` names the fault and repeats nothing of the token. */
  | { readonly kind: "refused"; readonly message: string };

/** Reads the header of a token that nobody has vouched for yet. Its size is checked before anything else is. */
export function readHeader(token: string, maxTokenBytes: number): ReadHeader {
  const refused = (message: string): ReadHeader => ({ kind: "refused", message });
  // Code units are bytes here: a token of another alphabet than ASCII fails the next check.
  if (token.length > maxTokenBytes) return refused(`token is larger than ${maxTokenBytes} bytes`);
  if (!compactForm.test(token)) return refused("token is not a signed JWT in compact form");
  const decoded = parseStrictJson(base64url.decode(token.slice(0, token.indexOf("."))));
  const names = objectSchema.safeParse(decoded).data ?? {};
  const parameter = refusedParameters.find((name) => Object.hasOwn(names, name));
  if (parameter !== undefined) return refused(`token header parameter ${parameter} is not supported`);
  const parsed = headerSchema.safeParse(decoded);
  if (!parsed.success) return refused("token header is not valid");
  const { alg, kid, typ } = parsed.data;
  return { kind: "header", header: { alg, kid, typ: typ?.toLowerCase().replace(/^application\//, "") } };
}

export type VerifiedPayload =
  /** The JSON value that was signed; undefined = it is no JSON, or has a name twice. */
  { readonly kind: "payload"; readonly value: unknown } | { readonly kind: "mismatch" };

/** The signature is compared by WebCrypto, in constant time. */
export async function verifyPayload(
  token: string,
  key: CryptoKey | Uint8Array,
  algorithms: readonly string[],
): Promise<VerifiedPayload> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [...algorithms] });
    return { kind: "payload", value: parseStrictJson(payload) };
  } catch (error) {
    if (error instanceof errors.JOSEError) return { kind: "mismatch" };
    throw error;
  }
}
