import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import { type ImportedKeys, importPublicKeys } from "../../src/auth/key-import.ts";
import {
  canary,
  ecdsa,
  ed25519,
  ed25519Keys,
  eddsa,
  forge,
  goodClaims,
  hmac,
  jwkOf,
  keysOf,
  nowMs,
  p256,
  p256Keys,
  pemOf,
  pkcs1,
  pss,
  refused,
  rsa,
  rsaKeys,
  secretKeys,
  verifierOf,
} from "./fixtures.ts";

const messageOf = (imported: ImportedKeys) => (imported.kind === "refused" ? imported.message : "");
const jwk = jwkOf(rsa.publicKey);
const base64Url = (...bytes: readonly number[]) => Buffer.from(bytes).toString("base64url");

describe("RSA keys", () => {
  test("TK22 one key checks RS256 and PS256, each by a key of WebCrypto that can do nothing else", async () => {
    const signers = { RS256: pkcs1(rsa.privateKey), PS256: pss(rsa.privateKey) };
    for (const keys of [rsaKeys, await keysOf(importPublicKeys(JSON.stringify(jwk)))]) {
      assert.deepEqual(
        keys.map(({ algorithms, key }) => [algorithms, key.algorithm.name, key.usages]),
        [
          [["RS256"], "RSASSA-PKCS1-v1_5", ["verify"]],
          [["PS256"], "RSA-PSS", ["verify"]],
        ],
      );
      const verifier = verifierOf(keys);
      for (const [alg, signer] of Object.entries(signers)) {
        assert.equal((await verifier.verify(forge(goodClaims, { alg }, signer), nowMs)).userId, canary);
      }
      const words = "token signature does not match";
      await refused(forge(goodClaims, { alg: "RS256" }, signers.PS256), words, verifier);
      await refused(forge(goodClaims, { alg: "PS256" }, signers.RS256), words, verifier);
      await refused(forge(goodClaims, { alg: "PS256" }, pss(rsa.privateKey, 0)), words, verifier);
    }
  });

  test("TK22 a JWK's alg narrows it to one", async () => {
    for (const [alg, other, signer] of [
      ["RS256", "PS256", pss(rsa.privateKey)],
      ["PS256", "RS256", pkcs1(rsa.privateKey)],
    ] as const) {
      const keys = await keysOf(importPublicKeys(JSON.stringify({ ...jwk, alg })));
      assert.deepEqual(
        keys.map(({ algorithms }) => algorithms),
        [[alg]],
      );
      await refused(forge(goodClaims, { alg: other }, signer), "token algorithm not allowed", verifierOf(keys));
    }
  });

  test("TK22 one with fewer than 2048 bits, or with more than 8192, is refused by what it has", async () => {
    for (const [bits, publicExponent] of [
      [512, 65_537],
      [1024, 65_537],
      [1920, 65_537],
    ] as const) {
      const { publicKey } = generateKeyPairSync("rsa", { modulusLength: bits, publicExponent });
      const words = `an RSA key has 2048 to 8192 bits, this one ${bits}`;
      assert.equal(messageOf(await importPublicKeys(pemOf(publicKey))), words);
      assert.equal(messageOf(await importPublicKeys(JSON.stringify(jwkOf(publicKey)))), words);
    }
    const modulus = (bits: number) => base64Url(...Buffer.alloc(bits / 8, 0xff));
    for (const bits of [2040, 8200, 16_384]) {
      const text = JSON.stringify({ kty: "RSA", n: modulus(bits), e: "AQAB" });
      assert.equal(messageOf(await importPublicKeys(text)), `an RSA key has 2048 to 8192 bits, this one ${bits}`);
    }
    // Zeros in front make no key longer.
    const padded = Buffer.concat([Buffer.alloc(128), Buffer.alloc(128, 0xff)]).toString("base64url");
    assert.match(
      messageOf(await importPublicKeys(JSON.stringify({ kty: "RSA", n: padded, e: "AQAB" }))),
      /this one 1024$/,
    );
    for (const bits of [2048, 8192]) {
      const text = JSON.stringify({ kty: "RSA", n: modulus(bits), e: "AQAB" });
      assert.equal((await importPublicKeys(text)).kind, "keys");
    }
  });

  test("TK22 an exponent that is even, small or huge is refused: under 1 every message would sign itself", async () => {
    const words = "an RSA key's public exponent is odd, at least 65537 and below 2^32";
    const exponents: readonly (readonly [number[], boolean])[] = [
      [[0], false],
      [[1], false],
      [[2], false],
      [[3], false],
      [[17], false],
      [[0xff, 0xff], false],
      [[1, 0, 0], false],
      [[1, 0, 1], true],
      [[1, 0, 2], false],
      [[0xff, 0xff, 0xff, 0xff], true],
      [[1, 0, 0, 0, 1], false],
      [[...Buffer.alloc(256, 0xff)], false],
    ];
    for (const [bytes, isTaken] of exponents) {
      const imported = await importPublicKeys(JSON.stringify({ kty: "RSA", n: jwk.n, e: base64Url(...bytes) }));
      assert.equal(imported.kind, isTaken ? "keys" : "refused", `${bytes}`);
      if (!isTaken) assert.match(messageOf(imported), /public exponent is odd|numbers are not a key/, `${bytes}`);
    }
    for (const publicExponent of [3, 17]) {
      const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent });
      assert.equal(messageOf(await importPublicKeys(pemOf(publicKey))), words);
    }
  });

  test("TK22 a key of one kind checks nothing that is signed as another", async () => {
    const signers = {
      RS256: pkcs1(rsa.privateKey),
      PS256: pss(rsa.privateKey),
      ES256: ecdsa(p256.privateKey),
      EdDSA: eddsa(ed25519.privateKey),
    };
    const kinds = { RS256: rsaKeys, PS256: rsaKeys, ES256: p256Keys, EdDSA: ed25519Keys };
    const all = verifierOf([...rsaKeys, ...p256Keys, ...ed25519Keys]);
    for (const [said, keys] of Object.entries(kinds)) {
      for (const [alg, signer] of Object.entries(signers)) {
        const token = forge(goodClaims, { alg: said }, signer);
        if (alg === said) assert.equal((await verifierOf(keys).verify(token, nowMs)).userId, canary);
        else await refused(token, "token signature does not match", verifierOf(keys));
        if (alg !== said) await refused(token, "token signature does not match", all);
      }
    }
  });

  test("TK4 the public key of RSA, in whatever spelling, is no secret of HS256", async () => {
    const der = (type: "spki" | "pkcs1") => rsa.publicKey.export({ format: "der", type });
    const pem = (type: "spki" | "pkcs1") => rsa.publicKey.export({ format: "pem", type }).toString();
    const spellings = [
      pem("spki"),
      pem("spki").trim(),
      pem("pkcs1"),
      der("spki"),
      der("pkcs1"),
      JSON.stringify(jwk),
      jwk.n ?? "",
    ];
    for (const spelling of spellings) {
      const token = forge(goodClaims, { alg: "HS256" }, hmac(spelling));
      await refused(token, "token algorithm not allowed", verifierOf(rsaKeys));
      await refused(token, "token signature does not match", verifierOf([...rsaKeys, ...secretKeys]));
    }
  });

  test("TK6 a signature of RSA that is empty, zero, one, short, long or the key's own modulus does not match", async () => {
    const modulus = Buffer.from(jwk.n ?? "", "base64url");
    const one = Buffer.alloc(256);
    one[255] = 1;
    const signatures = [new Uint8Array(), new Uint8Array(256), one, new Uint8Array(255), new Uint8Array(257), modulus];
    for (const alg of ["RS256", "PS256"]) {
      for (const signature of signatures) {
        const token = forge(goodClaims, { alg }, () => signature);
        await refused(token, "token signature does not match", verifierOf(rsaKeys));
      }
    }
  });
});
