import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pemOf, rsa } from "../auth/fixtures.ts";
import { certificatePath, createSigner, type Issuer, publicJwk, startIssuer } from "../auth/issuer.ts";
import { createBench } from "./run-baton.ts";

const bench = createBench();
let issuer: Issuer;
before(async () => {
  issuer = await startIssuer();
});
after(async () => {
  await bench.clean();
  await issuer.stop();
});

const ended = (code: number) => ({ code, signal: null });
const environment = (more: Readonly<Record<string, string>> = {}) => ({
  BATON_JWKS_URL: issuer.url.href,
  NODE_EXTRA_CA_CERTS: certificatePath,
  BATON_DATA_DIR: bench.folder(),
  ...more,
});
const signer = createSigner("one");

describe("baton check with a key set's URL", () => {
  test("CF14 shows it without its query, and where an audience should be set", async () => {
    const run = bench.baton(["check"], { env: environment() });
    assert.deepEqual(await run.exit, ended(0));
    assert.match(run.stdout, /^BATON_JWKS_URL=https:\/\/localhost:[0-9]+\/keys\?\(hidden\)$/m);
    assert.match(run.stdout, /^# BATON_JWT_AUDIENCE is not set/m);
    assert.doesNotMatch(run.stdout + run.stderr, /PINEAPPLE/);
    const strict = bench.baton(["check"], { env: environment({ BATON_JWT_AUDIENCE: "baton" }) });
    assert.deepEqual(await strict.exit, ended(0));
    assert.doesNotMatch(strict.stdout, /^#/m);
    assert.equal(issuer.requests.length, 0);
  });

  test("CF14 --online says what the set checks, and what is left out", async () => {
    issuer.answers({
      keys: [signer.jwk, publicJwk(rsa.publicKey), { kty: "oct", k: "PINEAPPLE" }, { kty: "PINEAPPLE" }],
    });
    const run = bench.baton(["check", "--online"], { env: environment() });
    assert.deepEqual(await run.exit, ended(0));
    assert.match(
      run.stdout,
      /^# The key set was fetched: it checks ES256, RS256, PS256; 2 left out \(the JWK is a secret; .*; the JWK is not a P-256, .*\)\.$/m,
    );
    assert.doesNotMatch(run.stdout + run.stderr, /PINEAPPLE/);
  });

  test("CF14 --online ends with 1 where the set cannot be used, and says why", async () => {
    for (const [answer, why] of [
      [
        { keys: [{ kty: "PINEAPPLE" }] },
        /it has no key that can be used; the JWK is not a P-256, an Ed25519 or an RSA public key$/,
      ],
      [
        (_: unknown, response: { writeHead(status: number): { end(): void } }) => response.writeHead(500).end(),
        /it answered 500$/,
      ],
    ] as const) {
      issuer.answers(answer);
      const run = bench.baton(["check", "--online"], { env: environment() });
      assert.deepEqual(await run.exit, ended(1));
      assert.match(run.stdout, /^BATON_JWKS_URL=/m);
      assert.match(run.stderr.trim(), why);
      assert.match(run.stderr, /^BATON_JWKS_URL: the key set cannot be used: [^\n]*\n$/);
      assert.doesNotMatch(run.stdout + run.stderr, /PINEAPPLE/);
    }
    const stranger = bench.baton(["check", "--online"], { env: environment({ NODE_EXTRA_CA_CERTS: "" }) });
    assert.deepEqual(await stranger.exit, ended(1));
    assert.match(stranger.stderr, /the connection failed \([A-Z_]*CERT[A-Z_]*\)$/m);
  });

  test("CF14 --online without a URL has nothing to ask", async () => {
    const run = bench.baton(["check", "--online"]);
    assert.deepEqual(await run.exit, ended(0));
    assert.match(run.stdout, /^# Nothing is to be asked/m);
  });
});

describe("baton start with a key set's URL", () => {
  const subscribe = async (url: string, token: string) => {
    const message = new TextEncoder().encode('{"sessionId":"demo"}');
    const abort = new AbortController();
    const response = await fetch(`${url}/codereview.v1.CodeReviewService/Subscribe`, {
      method: "POST",
      headers: { "content-type": "application/connect+json", authorization: `Bearer ${token}` },
      body: new Uint8Array([0, 0, 0, 0, message.length, ...message]),
      signal: abort.signal,
    });
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += new TextDecoder().decode(chunk);
      if (/"welcome"|"error"/.test(text)) break;
    }
    abort.abort();
    return text;
  };
  const token = () => {
    const iat = Math.floor(Date.now() / 1000);
    return signer.token({ sub: "alice", iat, exp: iat + 600, sessions: ["demo"], scope: "session:read" });
  };

  test("CF15 takes the issuer's tokens, and prints neither a token nor the query", async () => {
    issuer.answers({ keys: [signer.jwk] });
    const run = bench.baton(["start", "--port", "0"], { env: environment({ BATON_LOG_LEVEL: "trace" }) });
    const [, url = ""] = await run.printed(/^Baton \S+ listens on (http:\/\/\S+)$/m);
    await run.printed(/^Key: the key set of localhost:[0-9]+ \(BATON_JWKS_URL\)$/m);
    await run.logged("the issuer's keys are there");
    assert.match(await subscribe(url, token()), /"welcome"/);
    assert.match(await subscribe(url, createSigner("other").token({})), /token key is not known/);
    run.child.kill("SIGTERM");
    assert.deepEqual(await run.exit, ended(0));
    assert.doesNotMatch(run.stdout + run.stderr, /PINEAPPLE|eyJ/);
  });

  test("CF15 starts while the issuer is down, says so, and takes tokens when it is back", async () => {
    issuer.answers((_, response) => response.writeHead(503).end());
    const run = bench.baton(["start", "--port", "0"], { env: environment() });
    const [, url = ""] = await run.printed(/^Baton \S+ listens on (http:\/\/\S+)$/m);
    await run.logged("the issuer's keys cannot be fetched, and there are none; no token can be checked");
    assert.match(await subscribe(url, token()), /KEYS_UNAVAILABLE/);
    issuer.answers({ keys: [signer.jwk] });
    await run.logged("the issuer's keys are there");
    assert.match(await subscribe(url, token()), /"welcome"/);
    run.child.kill("SIGTERM");
    assert.deepEqual(await run.exit, ended(0));
  });
});

describe("baton token --key", () => {
  const folder = () => {
    const path = join(bench.folder(), "private.pem");
    writeFileSync(path, rsa.privateKey.export({ format: "pem", type: "pkcs8" }).toString());
    return path;
  };

  test("TK25 signs what a relay with the public key takes, also where only an issuer's URL is configured", async () => {
    const env = {
      BATON_JWT_PUBLIC_KEY: pemOf(rsa.publicKey),
      BATON_JWT_AUDIENCE: "baton",
      BATON_DATA_DIR: bench.folder(),
    };
    const args = ["token", "--sub", "alice", "--session", "demo", "--key", folder(), "--kid", "one"];
    for (const [more, alg, other] of [
      [[], "RS256", {}],
      [["--alg", "PS256"], "PS256", environment()],
    ] as const) {
      const { BATON_JWT_PUBLIC_KEY: _, ...rest } = env;
      const run = bench.baton([...args, ...more], { env: "BATON_JWKS_URL" in other ? { ...rest, ...other } : env });
      assert.deepEqual(await run.exit, ended(0), run.stderr);
      const [header = "", payload = ""] = run.stdout.split(".");
      assert.deepEqual(JSON.parse(Buffer.from(header, "base64url").toString()), { alg, typ: "JWT", kid: "one" });
      const claims = JSON.parse(Buffer.from(payload, "base64url").toString());
      assert.deepEqual([claims.sub, claims.aud], ["alice", "baton"]);
    }
  });

  test("TK25 refuses what cannot sign, with 1, and repeats nothing of it", async () => {
    const publicPath = join(bench.folder(), "public.pem");
    writeFileSync(publicPath, pemOf(rsa.publicKey));
    for (const [more, says] of [
      [["--key", "/nowhere/PINEAPPLE"], /^--key: is not the path of a readable file of at most 64 KiB$/m],
      [["--key", publicPath], /^--key: a private key is one PEM block/m],
      [["--key", folder(), "--alg", "ES256"], /^--key: the key is not one for ES256$/m],
      [["--key", folder(), "--alg", "HS256"], /Allowed choices are ES256, EdDSA, RS256, PS256/],
    ] as const) {
      const run = bench.baton(["token", "--sub", "a", "--session", "s", ...more]);
      assert.deepEqual(await run.exit, ended(1));
      assert.equal(run.stdout, "");
      assert.match(run.stderr, says);
      assert.doesNotMatch(run.stderr, /PINEAPPLE/);
    }
  });
});
