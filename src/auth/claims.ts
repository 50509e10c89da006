import { z } from "zod";
import { isSessionPattern, maxSessionPatterns } from "./session-pattern.ts";

/**
 * Characters that no name may have: controls and line breaks, which would forge log lines, and halves of surrogate
 * pairs, which all become the same U+FFFD when a name is encoded, so that two subjects would become one.
 */
const forbiddenCharacters = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}]/u;

const maxNameLength = 256;

/** Whether `sub` or `jti` can be this. */
export function isClaimName(text: string): boolean {
  return text.length >= 1 && text.length <= maxNameLength && !forbiddenCharacters.test(text);
}

/** 8.64e15 ms is the last instant that ECMAScript can name; beyond it there are no exact milliseconds. */
const maxSeconds = 8.64e12;

const says = (claim: string, wanted: string) => (issue: { readonly input?: unknown }) =>
  issue.input === undefined ? `${claim} is required` : `${claim} must be ${wanted}`;

function name(claim: string) {
  const error = says(claim, "a string of 1 to 256 characters, none of them a control character");
  return z.string({ error }).refine(isClaimName, { error });
}

function instant(claim: string) {
  const error = says(claim, "a number of seconds since the Unix epoch");
  return z.number({ error }).min(0, { error, abort: true }).max(maxSeconds, { error, abort: true });
}

/**
 * OpenID Connect Core, sections 3.1.3.6 and 3.3.2.11: claims that tie an ID token to what was issued with it, and that no
 * access token has. An ID token tells a client who signed in; it is no right to anything. `nonce` is not looked at: some
 * issuers repeat it in access tokens.
 */
const ofIdToken = z.undefined({ error: "this is an ID token; send the access token" }).optional();

const sessionsError = says("sessions", `an array of at most ${maxSessionPatterns} patterns: "demo", "team-a/*"`);
const audienceError = says("aud", "a string or an array of strings");

/**
 * The claims that the relay reads; others are ignored. The messages never repeat a value: they are sent to a client,
 * and the token is a secret. Times are NumericDates (RFC 7519 section 2): seconds, fractions allowed.
 */
export const claimsSchema = z
  .object(
    {
      sub: name("sub"),
      iat: instant("iat"),
      exp: instant("exp"),
      nbf: instant("nbf").optional(),
      sessions: z
        .array(z.string({ error: sessionsError }), { error: sessionsError })
        .max(maxSessionPatterns, { error: sessionsError })
        .refine((patterns) => patterns.every(isSessionPattern), {
          error: "sessions: each is a session id, or the beginning of one and a final *",
        }),
      scope: z.string({ error: says("scope", "a string of words separated by spaces") }),
      jti: name("jti").optional(),
      iss: z.string({ error: says("iss", "a string") }).optional(),
      aud: z.union([z.string(), z.array(z.string())], { error: audienceError }).optional(),
      at_hash: ofIdToken,
      c_hash: ofIdToken,
    },
    { error: "the claims must be a JSON object that has no name twice" },
  )
  .refine((claims) => claims.exp > claims.iat, { error: "exp must be after iat" });

export type Claims = z.infer<typeof claimsSchema>;

export type ParsedClaims =
  | { readonly kind: "claims"; readonly claims: Claims }
  /** `message` names every claim that is wrong, and repeats no value. */
  | { readonly kind: "refused"; readonly message: string };

export function parseClaims(value: unknown): ParsedClaims {
  const parsed = claimsSchema.safeParse(value);
  if (parsed.success) return { kind: "claims", claims: parsed.data };
  const messages = new Set(parsed.error.issues.map((issue) => issue.message));
  return { kind: "refused", message: [...messages].join("; ") };
}
