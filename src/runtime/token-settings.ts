import { z } from "zod";
import { secretFault } from "../auth/key-import.ts";

const howToMakeSecret = "make one with: openssl rand -base64 48";

/** What is wrong with a secret's text; undefined = nothing. It tells nothing of it but its length. */
function secretTextFault(text: string): string | undefined {
  if (text !== text.trim()) return "begins or ends with white space; take it away, whoever signs does not have it";
  const fault = secretFault(new TextEncoder().encode(text));
  return fault === undefined ? undefined : `${fault}; ${howToMakeSecret}`;
}

/** The bytes of a text of at least 32, as HMAC takes them. */
export const secretSchema = z.string().transform((text, context) => {
  const fault = secretTextFault(text);
  if (fault === undefined) return new TextEncoder().encode(text);
  context.addIssue(fault);
  return z.NEVER;
});

const jwksUrlError = "must be a URL that begins with https://, without credentials and without a fragment";

/** Not over http: whoever is on the way could put their own keys in. */
export const issuerUrlSchema = z.string().transform((text, context) => {
  const url = URL.parse(text);
  if (url?.protocol === "https:" && url.username === "" && url.password === "" && !text.includes("#")) {
    return url;
  }
  context.addIssue(jwksUrlError);
  return z.NEVER;
});

const controlCharacter = /\p{Cc}/u;

export const claimTextSchema = (what: string) =>
  z.string().refine((text) => text.length <= 256 && !controlCharacter.test(text), {
    error: `must be ${what} of at most 256 characters, none of them a control character`,
  });
