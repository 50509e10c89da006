import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { importPublicKeys } from "../../src/auth/key-import.ts";
import {
  canary,
  ecdsa,
  ed25519,
  eddsa,
  forge,
  goodClaims,
  keysOf,
  nowMs,
  p256,
  pemOf,
  pkcs1,
  refused,
  rsa,
  verifierOf,
} from "./fixtures.ts";
import { certificate, certificateKey } from "./issuer.ts";

const weakCertificate = readFileSync(join(import.meta.dirname, "fixtures/rsa-1024.pem"), "utf8");

async function refusalOf(text: string): Promise<string> {
  const imported = await importPublicKeys(text);
  return imported.kind === "refused" ? imported.message : "";
}

describe("PEM files", () => {
  test("KS1 several keys and certificates stand in one file, each of which checks its tokens", async () => {
    const text = [pemOf(p256.publicKey), certificate, "\n\n", pemOf(ed25519.publicKey), pemOf(rsa.publicKey)].join("");
    for (const form of [text, text.replaceAll("\n", "\r\n"), text.trim().replaceAll("\n", "\\n")]) {
      const keys = await keysOf(importPublicKeys(form));
      assert.deepEqual(
        keys.map(({ kid, algorithms }) => [kid, algorithms]),
        [
          [undefined, ["ES256"]],
          [undefined, ["ES256"]],
          [undefined, ["EdDSA", "Ed25519"]],
          [undefined, ["RS256"]],
          [undefined, ["PS256"]],
        ],
      );
      const verifier = verifierOf(keys);
      const tokens = [
        forge(goodClaims, { alg: "ES256" }, ecdsa(p256.privateKey)),
        forge(goodClaims, { alg: "ES256", kid: "of-the-certificate" }, ecdsa(createPrivateKey(certificateKey))),
        forge(goodClaims, { alg: "EdDSA" }, eddsa(ed25519.privateKey)),
        forge(goodClaims, { alg: "RS256" }, pkcs1(rsa.privateKey)),
      ];
      for (const token of tokens) assert.equal((await verifier.verify(token, nowMs)).userId, canary);
    }
  });

  test("KS1 16 keys pass, one more does not", async () => {
    const pem = pemOf(rsa.publicKey);
    assert.equal((await keysOf(importPublicKeys(pem.repeat(16)))).length, 32);
    assert.match(await refusalOf(pem.repeat(17)), /^public keys are 1 to 16 PEM blocks/);
  });

  test("KS1 one that is no such key, or anything beside them, refuses the whole", async () => {
    const pem = pemOf(p256.publicKey);
    const beside = [
      `${pem}x`,
      `x${pem}`,
      `${pem}Bag Attributes\n${pem}`,
      `${pem}-----BEGIN PUBLIC KEY-----`,
      `${pem}-----END PUBLIC KEY-----`,
      pem.replace("END PUBLIC KEY", "END CERTIFICATE"),
      `${pem}${pem.replaceAll("PUBLIC KEY", "RSA PUBLIC KEY")}`,
      `${pem}${pem.replaceAll("PUBLIC KEY", "CERTIFICATE REQUEST")}`,
    ];
    for (const text of beside) assert.match(await refusalOf(text), /^public keys are 1 to 16 PEM blocks/, text);
    const fake = pem.replaceAll("PUBLIC KEY", "CERTIFICATE");
    const cut = certificate.replace(/\n.{64}\n/, "\n");
    for (const text of [fake, cut]) {
      assert.match(await refusalOf(`${pem}${text}`), /^the PEM is not a P-256/);
    }
    assert.match(await refusalOf(`${pem}${weakCertificate}`), /^an RSA key has 2048 to 8192 bits, this one 1024$/);
    assert.match(await refusalOf(`${certificate}${certificateKey}`), /^this is a private key/);
  });

  test("KS1 a certificate vouches for nothing but its own key", async () => {
    const verifier = verifierOf(await keysOf(importPublicKeys(certificate)));
    const brought = { alg: "ES256", x5c: [certificate.replace(/-----.*-----|\n/g, "")] };
    await refused(forge(goodClaims, brought, ecdsa(p256.privateKey)), "token signature does not match", verifier);
  });
});
