import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import { decodeProtectedHeader } from "jose";
import { importPublicKeys } from "../../src/auth/key-import.ts";
import { importSigningKey } from "../../src/auth/key-signing.ts";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import {
  assertRefused,
  canary,
  ed25519,
  ed25519Keys,
  keysOf,
  nowMs,
  p256,
  p256Keys,
  p384,
  pemOf,
  rsa,
  rsaKeys,
  secretKeys,
  secretText,
  verifierOf,
  x25519,
} from "./fixtures.ts";
import { certificate, certificateKey } from "./issuer.ts";

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

  test("TK25 a private key of each kind signs what its public key checks, under the name that it is given", async () => {
    const pkcs8 = (key: typeof p256.privateKey) => key.export({ format: "pem", type: "pkcs8" }).toString();
    const cases = [
      [pkcs8(p256.privateKey), undefined, "ES256", p256Keys],
      [pkcs8(ed25519.privateKey), undefined, "EdDSA", ed25519Keys],
      [pkcs8(rsa.privateKey), undefined, "RS256", rsaKeys],
      [` \n${pkcs8(rsa.privateKey)}\n`, "PS256", "PS256", rsaKeys],
      [certificateKey, "ES256", "ES256", await keysOf(importPublicKeys(certificate))],
    ] as const;
    for (const [pem, asked, alg, keys] of cases) {
      const imported = await importSigningKey(pem, asked);
      assert.ok(imported.kind === "key", JSON.stringify(imported));
      const token = await signDevelopmentToken(imported.key, { ...wanted, keyId: "one" }, nowMs);
      assert.deepEqual(decodeProtectedHeader(token), { alg, typ: "JWT", kid: "one" });
      const verifier = verifierOf(keys.map((key) => ({ ...key, kid: "one" })));
      assert.equal((await verifier.verify(token, nowMs)).userId, canary);
      assert.equal(imported.key.extractable, false);
    }
  });

  test("TK25 what is no such key is refused, and nothing of it repeated", async () => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
    const pem = (key: typeof weak, type: "pkcs8" | "pkcs1" | "sec1" = "pkcs8") =>
      key.export({ format: "pem", type }).toString();
    const encrypted = p256.privateKey
      .export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" })
      .toString();
    const wrong = [
      ["", undefined, /^a private key is one PEM block/],
      [pemOf(p256.publicKey), undefined, /^a private key is one PEM block/],
      [`${pem(p256.privateKey)}${pem(p256.privateKey)}`, undefined, /^a private key is one PEM block/],
      [pem(p256.privateKey, "sec1"), undefined, /^the key is not plain PKCS #8; .*openssl pkcs8 -topk8/],
      [pem(rsa.privateKey, "pkcs1"), undefined, /^the key is not plain PKCS #8/],
      [encrypted, undefined, /^the key is not plain PKCS #8/],
      [pem(p384.privateKey), undefined, /^the key is not one for ES256, EdDSA, RS256, PS256$/],
      [pem(x25519.privateKey), undefined, /^the key is not one for/],
      [pem(p256.privateKey), "RS256", /^the key is not one for RS256$/],
      [pem(weak), undefined, /^an RSA key has 2048 to 8192 bits, this one 1024$/],
      [pem(weak), "PS256", /^an RSA key has/],
      [pem(p256.privateKey).replace(/\n.{20}/, "\nAAAAAAAAAAAAAAAAAAAA"), undefined, /^the key is not one for/],
    ] as const;
    for (const [text, asked, message] of wrong) {
      const imported = await importSigningKey(text, asked);
      assert.ok(imported.kind === "refused");
      assert.match(imported.message, message);
      for (const line of text.split("\n").filter((one) => one.length > 20 && !one.includes("---"))) {
        assert.ok(!imported.message.includes(line.slice(0, 20)));
      }
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
