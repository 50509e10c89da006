import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { importPublicKeys, importSecret } from "../../src/auth/key-import.ts";
import { BatonError } from "../../src/session/reasons.ts";
import {
  base64Url,
  canary,
  ecdsa,
  ed25519,
  ed25519Keys,
  eddsa,
  forge,
  goodClaims,
  hmac,
  keysOf,
  nowMs,
  p256,
  p256Keys,
  p384,
  pemOf,
  refused,
  rsa,
  secretKeys,
  secretText,
  verifierOf,
} from "./fixtures.ts";

const p256Signer = ecdsa(p256.privateKey);
const eddsaSigner = eddsa(ed25519.privateKey);

describe("by which key", () => {
  test("TK4 none, in any spelling, is no algorithm", async () => {
    for (const alg of ["none", "None", "NONE", "", "nOnE"]) {
      const token = forge(goodClaims, { alg }, () => new Uint8Array());
      assert.ok(token.endsWith("."));
      await refused(token, "token algorithm not allowed");
      await refused(forge(goodClaims, { alg }), "token algorithm not allowed");
    }
  });

  test("TK4 the text of a public key is no secret: the key fixes the algorithm", async () => {
    const spellings = [
      p256.publicKey.export({ format: "pem", type: "spki" }).toString(),
      p256.publicKey.export({ format: "pem", type: "spki" }).toString().trim(),
      p256.publicKey.export({ format: "der", type: "spki" }),
      JSON.stringify(p256.publicKey.export({ format: "jwk" })),
    ];
    for (const spelling of spellings) {
      const token = forge(goodClaims, { alg: "HS256" }, hmac(spelling));
      await refused(token, "token algorithm not allowed", verifierOf(p256Keys));
      // Nor where a secret is in force beside it, so that HS256 is an algorithm there.
      await refused(token, "token signature does not match", verifierOf([...p256Keys, ...secretKeys]));
    }
  });

  test("TK4 an algorithm of no key in force is not allowed, even where the signature is right", async () => {
    const words = "token algorithm not allowed";
    await refused(forge(goodClaims), words, verifierOf(p256Keys));
    await refused(forge(goodClaims, { alg: "ES256" }, p256Signer), words);
    await refused(forge(goodClaims, { alg: "EdDSA" }, eddsaSigner), words, verifierOf(p256Keys));
    await refused(forge(goodClaims, { alg: "ES384" }, ecdsa(p384.privateKey)), words, verifierOf(p256Keys));
    for (const alg of ["HS384", "HS512", "RS256", "PS256", "ES512", "ML-DSA-44", "hs256", "__proto__", "constructor"]) {
      await refused(forge(goodClaims, { alg }, eddsa(rsa.privateKey)), words, verifierOf([...secretKeys, ...p256Keys]));
    }
  });

  test("TK6 a signature that is empty, zero, short, of another key or over other bytes does not match", async () => {
    const words = "token signature does not match";
    for (const size of [0, 31, 32, 33, 64]) {
      await refused(
        forge(goodClaims, { alg: "HS256" }, () => new Uint8Array(size)),
        words,
      );
    }
    for (const size of [0, 63, 64, 65, 132]) {
      await refused(
        forge(goodClaims, { alg: "ES256" }, () => new Uint8Array(size)),
        words,
        verifierOf(p256Keys),
      );
      await refused(
        forge(goodClaims, { alg: "EdDSA" }, () => new Uint8Array(size)),
        words,
        verifierOf(ed25519Keys),
      );
    }
    await refused(forge(goodClaims, { alg: "HS256" }, hmac(`${secretText}.`)), words);
    await refused(forge(goodClaims, { alg: "ES256" }, ecdsa(p384.privateKey)), words, verifierOf(p256Keys));
    const [header, , signature] = forge(goodClaims).split(".");
    await refused(
      `${header}.${base64Url(JSON.stringify({ ...goodClaims, scope: "session:admin" }))}.${signature}`,
      words,
    );
  });

  test("TK6 no single changed character is overlooked", async () => {
    const good = forge(goodClaims, { alg: "ES256" }, p256Signer);
    const verifier = verifierOf(p256Keys);
    const positions = fc.nat(good.length - 1).filter((at) => good[at] !== ".");
    await fc.assert(
      fc.asyncProperty(positions, fc.constantFrom(..."Ab0-_"), async (at, character) => {
        fc.pre(good[at] !== character);
        const token = `${good.slice(0, at)}${character}${good.slice(at + 1)}`;
        await assert.rejects(verifier.verify(token, nowMs), BatonError);
      }),
    );
  });

  test("TK5 a kid is looked up in a map: a known one names its key, any other the keys without a name", async () => {
    const named = (kid: string, keys: typeof p256Keys) => keys.map((key) => ({ ...key, kid }));
    const keys = [...named("one", p256Keys), ...named("two", ed25519Keys), ...secretKeys];
    const verifier = verifierOf(keys);
    const es256 = (kid?: string) =>
      forge(goodClaims, { alg: "ES256", ...(kid === undefined ? {} : { kid }) }, p256Signer);
    assert.equal((await verifier.verify(es256("one"), nowMs)).userId, canary);
    assert.equal((await verifier.verify(es256(), nowMs)).userId, canary);
    await refused(es256("two"), "token key is not known", verifier);
    const odd = [
      "three",
      "",
      "__proto__",
      "constructor",
      "../../etc/passwd",
      "' OR 1=1 --",
      "https://e.example/k",
      "k".repeat(3000),
    ];
    for (const kid of odd) {
      await refused(es256(kid), "token key is not known", verifier);
      assert.equal((await verifier.verify(forge(goodClaims, { alg: "HS256", kid }), nowMs)).userId, canary);
    }
  });

  test("TK5 a named key is not passed over for another that would match", async () => {
    const [key] = secretKeys;
    assert.ok(key !== undefined);
    const verifier = verifierOf([{ ...key, kid: "old" }, ...p256Keys.map((other) => ({ ...other, kid: "new" }))]);
    await refused(forge(goodClaims, { alg: "HS256", kid: "new" }), "token key is not known", verifier);
  });

  test("TK5 a token that names a known key is not verified with a key without a name", async () => {
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const nameless = await keysOf(importPublicKeys(pemOf(other.publicKey)));
    const verifier = verifierOf([...p256Keys.map((key) => ({ ...key, kid: "one" })), ...nameless]);
    const signer = ecdsa(other.privateKey);
    assert.equal(
      (await verifier.verify(forge(goodClaims, { alg: "ES256", kid: "two" }, signer), nowMs)).userId,
      canary,
    );
    await refused(forge(goodClaims, { alg: "ES256", kid: "one" }, signer), "token signature does not match", verifier);
  });

  test("TK5 keys that a token brings along, or says where to fetch, are ignored", async () => {
    const jwk = ed25519.publicKey.export({ format: "jwk" });
    const headers = [
      { alg: "ES256", jwk: p384.publicKey.export({ format: "jwk" }) },
      { alg: "EdDSA", jwk },
      { alg: "EdDSA", jku: "https://attacker.example/keys" },
      { alg: "EdDSA", x5u: "https://attacker.example/cert", x5c: ["AAAA"] },
    ];
    const verifier = verifierOf([...p256Keys, ...secretKeys]);
    for (const header of headers)
      await refused(forge(goodClaims, header, eddsaSigner), /signature does not match|algorithm not allowed/, verifier);
    const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const brought = { alg: "ES256", jwk: other.publicKey.export({ format: "jwk" }) };
    await refused(forge(goodClaims, brought, ecdsa(other.privateKey)), "token signature does not match", verifier);
    // They do not harm either.
    assert.equal((await verifier.verify(forge(goodClaims, { ...brought }, p256Signer), nowMs)).userId, canary);
  });

  test("TK6 of two secrets in force either will do", async () => {
    const second = "another development secret, 41 bytes long";
    const verifier = verifierOf([...secretKeys, ...(await keysOf(importSecret(second)))]);
    for (const secret of [secretText, second]) {
      assert.equal((await verifier.verify(forge(goodClaims, { alg: "HS256" }, hmac(secret)), nowMs)).userId, canary);
    }
  });
});
