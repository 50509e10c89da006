import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, test } from "node:test";
import { createJwks } from "../../src/auth/jwks.ts";
import type { KeySource } from "../../src/auth/keys.ts";
import { createTokenVerifier } from "../../src/auth/verify.ts";
import { BatonError } from "../../src/session/reasons.ts";
import {
  assertTellsNothing,
  canary,
  ecdsa,
  ed25519,
  eddsa,
  forge,
  goodClaims,
  hmac,
  nowMs,
  pemOf,
  pkcs1,
  rsa,
  skewMs,
  x25519,
} from "./fixtures.ts";
import { type Answer, createSigner, gatherLogs, type Issuer, publicJwk, startIssuer } from "./issuer.ts";

let issuer: Issuer;
let keys: KeySource;
beforeEach(async () => {
  issuer = await startIssuer();
  keys = createJwks(issuer);
});
afterEach(() => issuer.stop());

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const down: Answer = (_, response) => response.writeHead(503).end();

/** Good at every time that these tests tell, so that nothing but the key matters. */
const claims = { ...goodClaims, exp: nowMs / second + 30 * 24 * 3600 };

/** Who a token says it is, at so many ms after the beginning; or the reason why it is refused. */
async function judge(token: string, afterMs = 0): Promise<string> {
  const verifier = createTokenVerifier({ keys, skewMs, maxTokenBytes: 8192 });
  try {
    return (await verifier.verify(token, nowMs + afterMs)).userId;
  } catch (error) {
    assert.ok(error instanceof BatonError);
    assertTellsNothing(error, token, canary, "PINEAPPLE");
    return error.reason;
  }
}

const one = createSigner("one");
const two = createSigner("two");
const signed = (...signers: readonly ReturnType<typeof createSigner>[]) => ({ keys: signers.map(({ jwk }) => jwk) });

describe("which keys of a published set", () => {
  test("KS3 what is for something else, damaged, weak or unknown is left out, and the rest serves", async () => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    issuer.answers({
      keys: [
        null,
        7,
        "key",
        {},
        { kty: 7 },
        { kty: "AKP", alg: "ML-DSA-44", pub: "AAAA" },
        { ...publicJwk(rsa.publicKey), use: "enc", alg: "RSA-OAEP" },
        { ...publicJwk(ed25519.publicKey), key_ops: ["deriveKey"] },
        { ...one.jwk, kid: 7 },
        { ...one.jwk, kid: "enc", use: "enc" },
        { ...one.jwk, kid: "damaged", x: "AAAA" },
        { ...one.jwk, kid: "other", alg: "ES384" },
        publicJwk(x25519.publicKey),
        { ...publicJwk(weak.publicKey), kid: "weak" },
        { kty: "oct", kid: "oct", k: Buffer.from(canary.repeat(4)).toString("base64url") },
        { ...one.privateKey.export({ format: "jwk" }), kid: "private" },
        { ...two.jwk, use: "sig", key_ops: ["verify"], alg: "ES256", x5c: ["AAAA"], "x5t#S256": "AAAA", exp: 1 },
      ],
    });
    await keys.tend(nowMs);
    assert.equal(await judge(two.token(claims)), canary);
    for (const kid of ["enc", "damaged", "other", "private"]) {
      const token = forge(claims, { alg: "ES256", kid }, ecdsa(one.privateKey));
      assert.equal(await judge(token), "TOKEN_INVALID", kid);
    }
    assert.equal(await judge(forge(claims, { alg: "RS256", kid: "weak" }, pkcs1(weak.privateKey))), "TOKEN_INVALID");
    assert.equal(await judge(forge(claims, { alg: "HS256", kid: "oct" }, hmac(canary.repeat(4)))), "TOKEN_INVALID");
    assert.equal(await judge(forge(claims, { alg: "HS256" }, hmac(pemOf(rsa.publicKey)))), "TOKEN_INVALID");
  });

  test("KS3 a set without a key that can be used is a failed attempt", async () => {
    const useless = [
      { keys: [] },
      { keys: {} },
      {},
      [],
      { ...one.jwk },
      { keys: [{ ...one.jwk, use: "enc" }] },
      { keys: [{ kty: "oct", k: "AAAA" }] },
    ];
    let afterMs = 0;
    for (const set of useless) {
      issuer.answers(set);
      assert.equal(await judge(one.token(claims), afterMs), "KEYS_UNAVAILABLE", JSON.stringify(set));
      afterMs += minute;
    }
    issuer.answers((_, response) => response.end("<html>"));
    assert.equal(await judge(one.token(claims), afterMs), "KEYS_UNAVAILABLE");
    issuer.answers(signed(one));
    await keys.tend(nowMs + afterMs + minute);
    assert.equal(await judge(one.token(claims), afterMs + minute), canary);
    // Nor does it take the place of one that was good.
    issuer.answers({ keys: [] });
    await keys.tend(nowMs + afterMs + hour);
    assert.equal(await judge(one.token(claims), afterMs + hour), canary);
  });

  test("KS5 a token without a kid is tried with every key that its algorithm fits", async () => {
    const nameless = createSigner();
    const ed = { ...publicJwk(ed25519.publicKey), kid: "ed" };
    issuer.answers({ keys: [ed, one.jwk, nameless.jwk, two.jwk, publicJwk(rsa.publicKey)] });
    for (const { privateKey } of [one, two, nameless]) {
      assert.equal(await judge(forge(claims, { alg: "ES256" }, ecdsa(privateKey))), canary);
    }
    assert.equal(await judge(forge(claims, { alg: "EdDSA" }, eddsa(ed25519.privateKey))), canary);
    assert.equal(await judge(forge(claims, { alg: "RS256" }, pkcs1(rsa.privateKey))), canary);
    assert.equal(await judge(forge(claims, { alg: "ES256" }, ecdsa(createSigner().privateKey))), "TOKEN_INVALID");
    assert.equal(issuer.requests.length, 1);
  });

  test("KS9 of a large set every key is known by its name, and a token without one is tried with 16", async () => {
    const signers = Array.from({ length: 40 }, (_, index) => createSigner(`key-${index}`));
    issuer.answers(signed(...signers));
    for (const { token } of signers) assert.equal(await judge(token(claims)), canary);
    assert.equal((await keys.find("ES256", undefined, nowMs)).length, 16);
  });
});

describe("when a set is asked for", () => {
  test("KS4 every 5 min, whether or not tokens come, and none of them waits", async () => {
    issuer.answers(signed(one));
    await keys.tend(nowMs);
    await keys.tend(nowMs + 5 * minute - 1);
    assert.equal(issuer.requests.length, 1);
    // The next answer does not come until a token has been judged.
    let release = () => {};
    issuer.answers((_, response) => {
      release = () => response.end(JSON.stringify(signed(two)));
    });
    const tended = keys.tend(nowMs + 5 * minute);
    void keys.tend(nowMs + 5 * minute + 1);
    assert.equal(await judge(one.token(claims), 5 * minute), canary);
    while (issuer.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    release();
    await tended;
    assert.equal(issuer.requests.length, 2);
    assert.equal(await judge(two.token(claims), 5 * minute), canary);
    assert.equal(await judge(one.token(claims), 5 * minute), "TOKEN_INVALID");
  });

  test("KS5 a flood of unknown names: one attempt for all who ask at once, and no other within 30 s", async () => {
    issuer.answers(signed(one));
    await keys.tend(nowMs);
    const names = [
      "../../etc/passwd",
      "' OR 1=1 --",
      `${issuer.url}`,
      "__proto__",
      "constructor",
      "",
      "k".repeat(4000),
      ...Array.from({ length: 200 }, (_, index) => `unknown-${index}`),
    ];
    const flood = (afterMs: number) =>
      Promise.all(names.map((kid) => judge(forge(claims, { alg: "ES256", kid }, ecdsa(one.privateKey)), afterMs)));
    for (const [afterMs, requests] of [
      [30 * second - 1, 1],
      [30 * second, 2],
      [30 * second + 1, 2],
      [60 * second - 1, 2],
      [60 * second, 3],
    ] as const) {
      assert.deepEqual(new Set(await flood(afterMs)), new Set(["TOKEN_INVALID"]));
      assert.equal(issuer.requests.length, requests, `after ${afterMs} ms`);
    }
    // A 10 KB name is refused for its size, and asks for nothing.
    const huge = forge(claims, { alg: "ES256", kid: "k".repeat(10_000) }, ecdsa(one.privateKey));
    assert.equal(await judge(huge, 10 * minute), "TOKEN_INVALID");
    assert.equal(issuer.requests.length, 3);
    // Keys and addresses that a token brings along are neither used nor asked.
    const brought = { jwk: two.jwk, jku: issuer.url.href, x5u: issuer.url.href, x5c: ["AAAA"] };
    const token = forge(claims, { alg: "ES256", kid: "one", ...brought }, ecdsa(two.privateKey));
    assert.equal(await judge(token, 10 * minute), "TOKEN_INVALID");
    assert.equal(issuer.requests.length, 3);
  });

  test("KS5 a token of a new key has the set asked for, and is taken at once", async () => {
    issuer.answers(signed(one));
    assert.equal(await judge(one.token(claims)), canary);
    issuer.answers(signed(one, two));
    assert.equal(await judge(two.token(claims), 29 * second), "TOKEN_INVALID");
    // Whoever comes while the answer is under way waits for it too.
    const many = Array.from({ length: 20 }, () => judge(two.token(claims), 30 * second));
    assert.deepEqual(new Set(await Promise.all(many)), new Set([canary]));
    assert.equal(await judge(one.token(claims), 30 * second), canary);
    assert.equal(issuer.requests.length, 2);
  });

  test("KS5 a known name under another algorithm, and an algorithm that no set has, do not ask without end", async () => {
    issuer.answers(signed(one));
    await keys.tend(nowMs);
    const wrong = forge(claims, { alg: "EdDSA", kid: "one" }, eddsa(ed25519.privateKey));
    assert.deepEqual([await judge(wrong, minute), await judge(wrong, minute)], ["TOKEN_INVALID", "TOKEN_INVALID"]);
    assert.equal(issuer.requests.length, 2);
    for (const alg of ["none", "HS256", "RS512", "ES384", "dir"]) {
      assert.equal(await judge(forge(claims, { alg, kid: "new" }, hmac("x")), hour), "TOKEN_INVALID");
    }
    assert.equal(issuer.requests.length, 2);
  });

  test("KS10 a clock that is set back holds up no attempt", async () => {
    issuer.answers(signed(one));
    await keys.tend(nowMs);
    issuer.answers(signed(two));
    await keys.tend(nowMs - hour);
    assert.equal(issuer.requests.length, 2);
    assert.equal(await judge(two.token(claims), -second), canary);
    await keys.tend(nowMs - hour + 5 * minute - 1);
    assert.equal(issuer.requests.length, 2);
    await keys.tend(nowMs - hour + 5 * minute);
    assert.equal(issuer.requests.length, 3);
  });

  test("KS5 there is one attempt at a time, also where the clock is set back meanwhile", async () => {
    const waiting: (() => void)[] = [];
    issuer.answers((_, response) => waiting.push(() => response.end(JSON.stringify(signed(one)))));
    const first = keys.tend(nowMs);
    const others = [keys.tend(nowMs - hour), keys.tend(nowMs + hour)];
    const judged = judge(one.token(claims), -30 * second);
    while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all(others);
    for (const answer of waiting) answer();
    await first;
    assert.equal(await judged, canary);
    assert.equal(issuer.requests.length, 1);
  });
});

describe("an attempt of a call that was cut off", () => {
  test("EG27 it holds nobody up for longer than one may take, and the next is made", async () => {
    issuer.answers(signed(one));
    let asked = 0;
    const cutOff = createJwks({
      ...issuer,
      timeoutMs: 1_000,
      // As on Workers, when the call is gone that asked: nothing of it ever comes back, not even its timeout.
      fetch: (url, init) => {
        asked += 1;
        return asked === 1 ? new Promise(() => undefined) : issuer.fetch(url, init);
      },
    });
    void cutOff.tend(nowMs);
    const error = await cutOff.find("ES256", "one", nowMs + 1).then(
      () => assert.fail("was found"),
      (caught: unknown) => caught,
    );
    assert.ok(error instanceof BatonError && error.reason === "KEYS_UNAVAILABLE");
    assert.ok(error.retryAfterMs > 0);
    assert.equal(asked, 1);
    assert.equal((await cutOff.find("ES256", "one", nowMs + 5 * second)).length, 1);
    assert.equal(asked, 2);
    await cutOff.tend(nowMs + 6 * minute);
    assert.equal(asked, 3);
  });
});

describe("an issuer that is out of reach", () => {
  test("KS6 the last keys serve for 24 h since they were fetched, and it is asked every 30 s", async () => {
    issuer.answers(signed(one));
    await keys.tend(nowMs);
    issuer.answers(down);
    await keys.tend(nowMs + 5 * minute);
    assert.equal(issuer.requests.length, 2);
    await keys.tend(nowMs + 5 * minute + 30 * second - 1);
    assert.equal(issuer.requests.length, 2);
    await keys.tend(nowMs + 5 * minute + 30 * second);
    assert.equal(issuer.requests.length, 3);
    assert.equal(await judge(one.token(claims), 24 * hour - 1), canary);
    assert.equal(issuer.requests.length, 3);
    assert.equal(await judge(one.token(claims), 24 * hour), "KEYS_UNAVAILABLE");
    assert.equal(issuer.requests.length, 4);
    issuer.answers(signed(one));
    await keys.tend(nowMs + 24 * hour + 5 * second - 1);
    assert.equal(issuer.requests.length, 4);
    await keys.tend(nowMs + 24 * hour + 5 * second);
    assert.equal(await judge(one.token(claims), 24 * hour + 5 * second), canary);
  });

  test("KS6 a set that came again, unchanged, is as new as one that changed", async () => {
    issuer.answers(signed(one));
    await keys.tend(nowMs);
    await keys.tend(nowMs + 23 * hour);
    issuer.answers(down);
    assert.equal(await judge(one.token(claims), 46 * hour), canary);
    assert.equal(await judge(one.token(claims), 47 * hour), "KEYS_UNAVAILABLE");
  });

  test("KS7 without keys a token is not called invalid: when to come again is told, and it is asked every 5 s", async () => {
    issuer.answers(down);
    await keys.tend(nowMs);
    const retryAfterMs = async (afterMs: number) => {
      const error = await keys.find("ES256", "one", nowMs + afterMs).then(
        () => assert.fail("was found"),
        (caught: unknown) => caught,
      );
      assert.ok(error instanceof BatonError);
      assert.deepEqual([error.reason, error.code, error.cause], ["KEYS_UNAVAILABLE", "unavailable", undefined]);
      return error.retryAfterMs;
    };
    assert.equal(await retryAfterMs(0), 5 * second);
    assert.equal(await retryAfterMs(4_999), 1);
    assert.equal(issuer.requests.length, 1);
    assert.equal(await retryAfterMs(5 * second), 5 * second);
    assert.equal(issuer.requests.length, 2);
    issuer.answers(signed(one));
    assert.equal(await judge(one.token(claims), 10 * second), canary);
  });

  test("KS7 a token of an unknown key cannot be judged either while the issuer is down; one of a known key can", async () => {
    issuer.answers(signed(one));
    await keys.tend(nowMs);
    issuer.answers(down);
    assert.equal(await judge(two.token(claims), 20 * second), "TOKEN_INVALID");
    assert.equal(await judge(two.token(claims), 30 * second), "KEYS_UNAVAILABLE");
    assert.equal(await judge(two.token(claims), 31 * second), "KEYS_UNAVAILABLE");
    assert.equal(await judge(one.token(claims), 31 * second), canary);
    const forged = forge(claims, { alg: "ES256", kid: "one" }, ecdsa(two.privateKey));
    assert.equal(await judge(forged, 31 * second), "TOKEN_INVALID");
    assert.equal(issuer.requests.length, 2);
    issuer.answers(signed(two));
    assert.equal(await judge(two.token(claims), 60 * second), canary);
  });

  test("KS11 each change is logged once, with nothing of an answer, a token or the query", async () => {
    const logs = await gatherLogs();
    try {
      const told = () => logs.records.splice(0).map(({ level, message }) => `${level}: ${message.join("")}`);
      const shown: string[] = [];
      const step = async (answer: Answer | object, afterMs: number) => {
        issuer.answers(answer);
        await keys.tend(nowMs + afterMs);
        await judge(two.token(claims), afterMs);
        shown.push(JSON.stringify(logs.records));
        return told();
      };
      const there = "info: the issuer's keys are there";
      const changed = "info: the issuer's keys changed";
      const stale = "warning: the issuer's keys cannot be fetched; the last ones go on to be used";
      const absent = "error: the issuer's keys cannot be fetched, and there are none; no token can be checked";
      const poison: Answer = (_, response) => response.end("PINEAPPLE");
      assert.deepEqual(await step(poison, 0), [absent]);
      assert.deepEqual(await step(down, minute), []);
      assert.deepEqual(await step({ ...signed(one), PINEAPPLE: 1 }, 2 * minute), [there, changed]);
      assert.deepEqual(await step({ ...signed(one), PINEAPPLE: 1 }, hour), []);
      assert.deepEqual(await step(poison, 2 * hour), [stale]);
      assert.deepEqual(await step({ keys: [{ kty: "PINEAPPLE" }] }, 3 * hour), []);
      assert.deepEqual(await step({ ...signed(one), PINEAPPLE: 1 }, 4 * hour), [there]);
      assert.deepEqual(await step({ keys: [two.jwk, { kty: "PINEAPPLE", kid: "PINEAPPLE" }] }, 5 * hour), [changed]);
      assert.deepEqual(await step(down, 6 * hour), [stale]);
      assert.deepEqual(await step(down, 30 * hour), [absent]);
      assert.equal(shown.length, 10);
      assert.match(shown.join(""), /it answered 503/);
      assert.match(shown.join(""), /it is not a JWK set/);
      assert.match(shown.join(""), /"host":"localhost:/);
      assert.doesNotMatch(shown.join(""), /PINEAPPLE|eyJ|canary/);
    } finally {
      await logs.stop();
    }
  });
});

test("MT8 a set tells when it was last fetched, also where it came unchanged, and not when it failed", async () => {
  assert.equal(keys.fetchedAtMs, undefined);
  issuer.answers(signed(one));
  await keys.tend(nowMs);
  assert.equal(keys.fetchedAtMs, nowMs);
  await keys.tend(nowMs + 6 * minute);
  assert.equal(keys.fetchedAtMs, nowMs + 6 * minute);
  issuer.answers(down);
  await keys.tend(nowMs + 12 * minute);
  assert.equal(keys.fetchedAtMs, nowMs + 6 * minute);
});
