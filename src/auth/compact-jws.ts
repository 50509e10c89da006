import { type CryptoKey, compactVerify, decodeProtectedHeader, errors } from "jose";
import { z } from "zod";

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
  const decoded = decodeHeader(token);
  const parameter = refusedParameters.find((name) => decoded !== undefined && Object.hasOwn(decoded, name));
  if (parameter !== undefined) return refused(`token header parameter ${parameter} is not supported`);
  const parsed = headerSchema.safeParse(decoded);
  if (!parsed.success) return refused("token header is not valid");
  const { alg, kid, typ } = parsed.data;
  return { kind: "header", header: { alg, kid, typ: typ?.toLowerCase().replace(/^application\//, "") } };
}

function decodeHeader(token: string) {
  try {
    return decodeProtectedHeader(token);
  } catch {
    return undefined;
  }
}

export type VerifiedPayload =
  /** The JSON value that was signed; undefined = it is no JSON. */
  { readonly kind: "payload"; readonly value: unknown } | { readonly kind: "mismatch" };

/** The signature is compared by WebCrypto, in constant time. */
export async function verifyPayload(
  token: string,
  key: CryptoKey | Uint8Array,
  algorithms: readonly string[],
): Promise<VerifiedPayload> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [...algorithms] });
    return { kind: "payload", value: parseJson(payload) };
  } catch (error) {
    if (error instanceof errors.JOSEError) return { kind: "mismatch" };
    throw error;
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}
