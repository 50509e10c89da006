import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type ImportedKeys, importPublicKeys, importSecret } from "../../src/auth/key-import.ts";
import { createKeySet, maxKeys } from "../../src/auth/keys.ts";
import {
  ecdsa,
  ed25519,
  ed25519Keys,
  eddsa,
  forge,
  goodClaims,
  jwkOf,
  nowMs,
  p256,
  p256Keys,
  p384,
  pemOf,
  rsa,
  secretText,
  verifierOf,
  x25519,
} from "./fixtures.ts";

const algorithmsOf = (imported: ImportedKeys) =>
  imported.kind === "keys" ? imported.keys.map(({ algorithms }) => algorithms) : imported.message;

async function assertRefusal(attempt: Promise<ImportedKeys>, message: RegExp, given: string): Promise<void> {
  const imported = await attempt;
  assert.equal(imported.kind, "refused");
  if (imported.kind !== "refused") return;
  assert.match(imported.message, message);
  for (let at = 0; at + 12 <= given.length; at += 1) {
    const piece = given.slice(at, at + 12);
    assert.ok(/PRIVATE|PUBLIC|-----/.test(piece) || !imported.message.includes(piece), imported.message);
  }
}

const publicJwk = JSON.stringify(jwkOf(p256.publicKey));

describe("keys from configuration", () => {
  test("TK19 a secret has at least 32 bytes, counted in UTF-8", async () => {
    for (const secret of ["s".repeat(32), "é".repeat(16), new Uint8Array(32)]) {
      assert.deepEqual(algorithmsOf(await importSecret(secret)), [["HS256"]]);
    }
    await assertRefusal(importSecret("s".repeat(31)), /^a secret has at least 32 bytes, this one 31$/, "");
    await assertRefusal(importSecret(""), /this one 0$/, "");
    await assertRefusal(importSecret(new Uint8Array(31)), /this one 31$/, "");
  });

  test("TK19 the text of a public key is not taken for a secret", async () => {
    for (const text of [pemOf(p256.publicKey), `\n${pemOf(rsa.publicKey)}`, publicJwk, ` ${publicJwk}`]) {
      await assertRefusal(importSecret(text), /not a PEM or a JWK/, text);
      await assertRefusal(importSecret(new TextEncoder().encode(text)), /not a PEM or a JWK/, text);
    }
  });

  test("TK19 a secret of random bytes is taken whatever they are", async () => {
    for (const start of ["{", '{"', "[", "-----", " {"]) {
      assert.deepEqual(algorithmsOf(await importSecret(start.padEnd(32, "s"))), [["HS256"]]);
    }
    const bytes = fc.uint8Array({ minLength: 32, maxLength: 64 });
    await fc.assert(
      fc.asyncProperty(bytes, async (secret) => {
        assert.deepEqual(algorithmsOf(await importSecret(secret)), [["HS256"]]);
      }),
    );
  });

  test("TK19 the key of a secret cannot be taken out again", async () => {
    const imported = await importSecret(secretText);
    assert.ok(imported.kind === "keys");
    assert.deepEqual(
      imported.keys.map(({ key }) => [key.extractable, key.usages]),
      [[false, ["verify"]]],
    );
  });

  test("TK19 a PEM or a JWK of P-256 is for ES256 alone, one of Ed25519 for EdDSA under both its names", async () => {
    const forms = (key: typeof p256.publicKey) => [
      pemOf(key),
      `\n  ${pemOf(key)}\n\n`,
      pemOf(key).replaceAll("\n", "\\n"),
      pemOf(key).replaceAll("\n", "\r\n"),
      JSON.stringify(jwkOf(key)),
      JSON.stringify({ keys: [jwkOf(key)] }),
    ];
    for (const text of forms(p256.publicKey)) assert.deepEqual(algorithmsOf(await importPublicKeys(text)), [["ES256"]]);
    for (const text of forms(ed25519.publicKey)) {
      assert.deepEqual(algorithmsOf(await importPublicKeys(text)), [["EdDSA", "Ed25519"]]);
    }
    const narrow = JSON.stringify({ ...jwkOf(ed25519.publicKey), alg: "Ed25519", use: "sig", key_ops: ["verify"] });
    assert.deepEqual(algorithmsOf(await importPublicKeys(narrow)), [["Ed25519"]]);
  });

  test("TK19 a set of JWKs gives each key its name", async () => {
    const set = JSON.stringify({
      keys: [
        { ...jwkOf(p256.publicKey), kid: "a" },
        { ...jwkOf(ed25519.publicKey), kid: "b" },
      ],
    });
    const imported = await importPublicKeys(set);
    assert.ok(imported.kind === "keys");
    const verifier = verifierOf(imported.keys);
    await verifier.verify(forge(goodClaims, { alg: "ES256", kid: "a" }, ecdsa(p256.privateKey)), nowMs);
    await verifier.verify(forge(goodClaims, { alg: "EdDSA", kid: "b" }, eddsa(ed25519.privateKey)), nowMs);
    await assert.rejects(
      verifier.verify(forge(goodClaims, { alg: "ES256", kid: "b" }, ecdsa(p256.privateKey)), nowMs),
      /token key is not known/,
    );
  });

  test("TK19 other kinds of keys, and what is no key, are refused", async () => {
    for (const key of [p384.publicKey, x25519.publicKey]) {
      await assertRefusal(importPublicKeys(pemOf(key)), /not a P-256, an Ed25519 or an RSA public key/, pemOf(key));
      const jwk = JSON.stringify(jwkOf(key));
      await assertRefusal(importPublicKeys(jwk), /not a P-256, an Ed25519 or an RSA public key/, jwk);
    }
    const pem = pemOf(p256.publicKey);
    const damaged = pem.replace(/\n(.{20})/, "\nAAAAAAAAAAAAAAAAAAAA");
    await assertRefusal(importPublicKeys(damaged), /not a P-256, an Ed25519 or/, damaged);
    for (const text of ["", "hello", `x${pem}`, pem.replaceAll("PUBLIC", "RSA PUBLIC"), pem.slice(0, 60)]) {
      await assertRefusal(importPublicKeys(text), /1 to 16 PEM blocks/, "");
    }
  });

  test("TK19 a private key is refused, so that the relay never holds one", async () => {
    for (const { privateKey } of [p256, ed25519, rsa]) {
      const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
      await assertRefusal(importPublicKeys(pem), /private key/, pem);
      const jwk = JSON.stringify(privateKey.export({ format: "jwk" }));
      await assertRefusal(importPublicKeys(jwk), /private key/, jwk);
      await assertRefusal(importPublicKeys(`{"keys":[${publicJwk},${jwk}]}`), /private key/, jwk);
    }
  });

  test("TK19 a JWK that is something else than it says is refused", async () => {
    const { x, y } = jwkOf(p256.publicKey);
    const wrong = [
      [{ kty: "EC", crv: "P-256", x, y: x }, /numbers are not a key/],
      [{ kty: "EC", crv: "P-256", x }, /numbers are not a key/],
      [{ kty: "EC", crv: "P-256", x: "", y: "" }, /numbers are not a key/],
      [{ kty: "OKP", crv: "Ed25519", x: "AAAA" }, /numbers are not a key/],
      [{ kty: "RSA", e: "AQAB" }, /numbers are not a key|this one 0$/],
      [{ kty: "RSA", n: jwkOf(rsa.publicKey).n, e: "AQAB", alg: "ES256" }, /alg does not fit/],
      [{ kty: "RSA", n: jwkOf(rsa.publicKey).n, e: "AQAB", alg: "RSA-OAEP" }, /alg does not fit/],
      [{ kty: "EC", crv: "P-256", x, y, alg: "HS256" }, /alg does not fit/],
      [{ kty: "EC", crv: "P-256", x, y, alg: "ES384" }, /alg does not fit/],
      [{ kty: "OKP", crv: "P-256", x, y }, /not a P-256, an/],
      [{ ...jwkOf(ed25519.publicKey), kty: "EC" }, /not a P-256, an/],
      [{ kty: "EC", crv: "secp256k1", x, y }, /not a P-256, an/],
      [{ kty: "oct", k: "AAAA" }, /a secret has its own setting/],
      [{ kty: "EC", crv: "P-256", x, y, use: "enc" }, /not one for signatures/],
      [{ kty: "EC", crv: "P-256", x, y, key_ops: ["sign"] }, /not one for signatures/],
      [{ kty: 1 }, /not a JWK/],
      [{ keys: [] }, /set of 1 to 16/],
      [{ keys: Array(17).fill(jwkOf(p256.publicKey)) }, /set of 1 to 16/],
    ] as const;
    for (const [jwk, message] of wrong) await assertRefusal(importPublicKeys(JSON.stringify(jwk)), message, "");
    for (const text of ["{", "{}", '{"keys":{}}', '{"__proto__":{"kty":"EC"}}']) {
      await assertRefusal(importPublicKeys(text), /not a JWK/, "");
    }
  });

  test("TK5 at most 16 keys are tried for one token, and a set has one at least", async () => {
    const [key] = p256Keys;
    assert.ok(key !== undefined);
    for (const kid of [undefined, "one"]) {
      const set = createKeySet(Array(maxKeys + 1).fill({ ...key, kid }));
      for (const asked of [undefined, "one"]) assert.equal((await set.find("ES256", asked, nowMs)).length, maxKeys);
    }
    // Those of another algorithm do not count.
    const many = createKeySet([...Array(maxKeys).fill(key), ...ed25519Keys]);
    assert.deepEqual(await many.find("EdDSA", undefined, nowMs), ed25519Keys);
    assert.throws(() => createKeySet([]), RangeError);
  });
});
