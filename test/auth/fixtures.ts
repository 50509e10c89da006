import assert from "node:assert/strict";
import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { inspect } from "node:util";
import { importPublicKeys, importSecret } from "../../src/auth/key-import.ts";
import { createKeySet, type VerificationKey } from "../../src/auth/keys.ts";
import { createTokenVerifier, type TokenVerifierOptions } from "../../src/auth/verify.ts";
import { BatonError, type Reason } from "../../src/session/reasons.ts";

/** Tokens are made here by node:crypto alone, so that they can be wrong in every way and owe nothing to the code tested. */

export const nowMs = 1_800_000_000_000;
export const skewMs = 30_000;
export const secretText = "zQ4xW9vT2mB7nL5kJ8hG3fD6sA1pO0iU-YtR";

export const canary = "canary-4711-subject";

export const goodClaims = {
  sub: canary,
  iat: nowMs / 1000 - 60,
  exp: nowMs / 1000 + 840,
  sessions: ["demo", "team-a/*"],
  scope: "session:edit",
};

export const base64Url = (value: string | Uint8Array) => Buffer.from(value).toString("base64url");

export type Signer = (input: string, header: Readonly<Record<string, unknown>>) => Uint8Array;

export const hmac =
  (secret: string | Uint8Array): Signer =>
  (input) =>
    createHmac("sha256", secret).update(input).digest();

export const ecdsa =
  (key: KeyObject): Signer =>
  (input) =>
    sign("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" });

export const eddsa =
  (key: KeyObject): Signer =>
  (input) =>
    sign(null, Buffer.from(input), key);

/** RS256. */
export const pkcs1 =
  (key: KeyObject): Signer =>
  (input) =>
    sign("sha256", Buffer.from(input), key);

/** PS256: the salt is as long as the hash (RFC 7518 section 3.5). */
export const pss =
  (key: KeyObject, saltLength = 32): Signer =>
  (input) =>
    sign("sha256", Buffer.from(input), { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });

/** Signs anything under any header. A payload that is no text is written as JSON. */
export function forge(
  payload: unknown,
  header: Readonly<Record<string, unknown>> = { alg: "HS256" },
  signer: Signer = hmac(secretText),
): string {
  const body = typeof payload === "string" || payload instanceof Uint8Array ? payload : JSON.stringify(payload);
  const input = `${base64Url(JSON.stringify(header))}.${base64Url(body)}`;
  return `${input}.${base64Url(signer(input, header))}`;
}

export const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" });
export const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" });
export const ed25519 = generateKeyPairSync("ed25519");
export const x25519 = generateKeyPairSync("x25519");
export const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });

export const pemOf = (key: KeyObject) => key.export({ format: "pem", type: "spki" }).toString();
export const jwkOf = (key: KeyObject) => key.export({ format: "jwk" });

export async function keysOf(imported: ReturnType<typeof importSecret>): Promise<readonly VerificationKey[]> {
  const outcome = await imported;
  assert.equal(outcome.kind, "keys", outcome.kind === "refused" ? outcome.message : "");
  return outcome.kind === "keys" ? outcome.keys : [];
}

export const secretKeys = await keysOf(importSecret(secretText));
export const p256Keys = await keysOf(importPublicKeys(pemOf(p256.publicKey)));
export const rsaKeys = await keysOf(importPublicKeys(pemOf(rsa.publicKey)));
export const ed25519Keys = await keysOf(importPublicKeys(pemOf(ed25519.publicKey)));

export const verifierOf = (
  keys: readonly VerificationKey[] = secretKeys,
  options: Omit<Partial<TokenVerifierOptions>, "keys"> = {},
) => createTokenVerifier({ keys: createKeySet(keys), skewMs, maxTokenBytes: 8192, ...options });

/** That nothing one could log or send of the error holds eight characters in a row of the secrets. */
export function assertTellsNothing(error: Error, ...secrets: readonly string[]): void {
  const shown = `${inspect(error, { depth: 9 })} ${JSON.stringify(error)}`;
  for (const secret of secrets) {
    for (let at = 0; at + 8 <= secret.length; at += 1) {
      assert.ok(!shown.includes(secret.slice(at, at + 8)), `an error tells of a secret, from its character ${at} on`);
    }
  }
}

/** That it rejects with this reason and these words, and tells nothing of the token, of who it names or of the key. */
export async function assertRefused(
  attempt: Promise<unknown>,
  reason: Reason,
  message: string | RegExp,
  token: string,
): Promise<void> {
  const error = await attempt.then(
    () => assert.fail("was not refused"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof BatonError, inspect(error));
  assert.equal(error.reason, reason, error.message);
  if (typeof message === "string") assert.equal(error.message, message);
  else assert.match(error.message, message);
  assert.equal(error.cause, undefined);
  assertTellsNothing(error, token, canary, secretText);
}

export const refused = (token: string, message: string | RegExp, verifier = verifierOf()) =>
  assertRefused(verifier.verify(token, nowMs), "TOKEN_INVALID", message, token);
