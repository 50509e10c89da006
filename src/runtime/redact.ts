const removed = "[removed]";

/** Longer texts are cut before they are looked through: nothing beyond the first 256 bytes is ever shown. */
const maxLookedThrough = 16 * 1024;

/**
 * Looks like a JWT or a resume token: three long parts of base64url, or a beginning of one that starts as they all do
 * (`eyJ` is `{"`). Shorter parts are host names and versions. Each match can begin only where a run of such characters
 * begins, so the time is linear.
 */
const compactToken = /(?<![\w-])(?:eyJ[\w-]{8,}(?:\.[\w-]*){0,2}|[\w-]{16,}\.[\w-]{16,}\.[\w-]{16,})/g;

/** `Authorization: Bearer x` of HTTP, and the subprotocol `bearer.x` of a socket. */
const bearer = /\b(bearer)(?:\s+|[.:=]\s*)[^\s"',;]+/gi;

/**
 * A net below the rule that no token comes into a log, an error or a message to the terminal: whatever looks like one
 * is replaced.
 */
export function redact(text: string): string {
  return text.slice(0, maxLookedThrough).replace(bearer, `$1 ${removed}`).replace(compactToken, removed);
}

/** Fields that hold a credential whatever it looks like. `tokenId` and the like do not. */
const credentialField = /^(authorization|cookie|set-cookie|password|jwt|pem|.*(secret|token))$/i;

export const isCredentialField = (name: string) => credentialField.test(name);

export const removedValue = removed;
