import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import {
  assertRefused,
  canary,
  ed25519,
  ed25519Keys,
  nowMs,
  p256,
  p256Keys,
  secretKeys,
  secretText,
  verifierOf,
} from "./fixtures.ts";

const secret = new TextEncoder().encode(secretText);
const wanted = { sub: canary, sessions: ["demo"], scope: "session:comment", ttlSeconds: 900 };

const privateKey = (key: typeof p256.privateKey, algorithm: { readonly name: string; readonly namedCurve?: string }) =>
  crypto.subtle.importKey("pkcs8", key.export({ format: "der", type: "pkcs8" }), algorithm, false, ["sign"]);

describe("development tokens", () => {
  test("TK21 the relay takes what is signed, by a secret or by a private key", async () => {
    const hmacKey = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const keys = [
      [secret, secretKeys],
      [hmacKey, secretKeys],
      [await privateKey(p256.privateKey, { name: "ECDSA", namedCurve: "P-256" }), p256Keys],
      [await privateKey(ed25519.privateKey, { name: "Ed25519" }), ed25519Keys],
    ] as const;
    for (const [key, verificationKeys] of keys) {
      const token = await signDevelopmentToken(key, { ...wanted, tokenId: "t-1" }, nowMs + 999);
      assert.deepEqual(await verifierOf(verificationKeys).verify(token, nowMs), {
        userId: canary,
        scopes: new Set(["session:comment", "session:read"]),
        sessions: ["demo"],
        issuedAtMs: nowMs,
        expiresAtMs: nowMs + 900_000,
        tokenId: "t-1",
      });
    }
  });

  test("TK21 it carries issuer and audience where they are given, and an id of its own", async () => {
    const verifier = verifierOf(secretKeys, { issuer: "me", audience: "baton" });
    const sign = () => signDevelopmentToken(secret, { ...wanted, issuer: "me", audience: "baton" }, nowMs);
    const ids = [await verifier.verify(await sign(), nowMs), await verifier.verify(await sign(), nowMs)].map(
      ({ tokenId }) => tokenId,
    );
    assert.equal(new Set(ids).size, 2);
    assert.ok(!ids.includes(undefined));
    await assert.rejects(verifier.verify(await signDevelopmentToken(secret, wanted, nowMs), nowMs), /iss is required/);
  });

  test("TK21 what the relay would refuse is not signed", async () => {
    const wrong = [
      [{ sub: "" }, /^sub must be/],
      [{ sessions: ["a*b"] }, /^sessions: /],
      [{ ttlSeconds: 0 }, /^exp must be after iat/],
      [{ ttlSeconds: -5 }, /^exp must be after iat/],
      [{ ttlSeconds: Number.NaN }, /^exp must be/],
      [{ ttlSeconds: Infinity }, /^exp must be/],
    ] as const;
    for (const [change, message] of wrong) {
      await assertRefused(signDevelopmentToken(secret, { ...wanted, ...change }, nowMs), "TOKEN_INVALID", message, "");
    }
  });
});
