import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { tokenTimes } from "../../src/session/token-clock.ts";
import {
  assertRefused,
  base64Url,
  canary,
  ecdsa,
  ed25519,
  ed25519Keys,
  eddsa,
  forge,
  goodClaims,
  hmac,
  nowMs,
  p256,
  p256Keys,
  refused,
  secretKeys,
  secretText,
  skewMs,
  verifierOf,
} from "./fixtures.ts";

const p256Signer = ecdsa(p256.privateKey);
const eddsaSigner = eddsa(ed25519.privateKey);

describe("what a good token says", () => {
  test("TK6 a token signed by a key in force is taken, for each algorithm", async () => {
    const tokens = [
      [forge(goodClaims), secretKeys],
      [forge(goodClaims, { alg: "ES256" }, p256Signer), p256Keys],
      [forge(goodClaims, { alg: "EdDSA" }, eddsaSigner), ed25519Keys],
      [forge(goodClaims, { alg: "Ed25519" }, eddsaSigner), ed25519Keys],
    ] as const;
    for (const [token, keys] of tokens) {
      assert.deepEqual(await verifierOf(keys).verify(token, nowMs), {
        userId: canary,
        scopes: new Set(["session:edit", "session:read"]),
        sessions: ["demo", "team-a/*"],
        issuedAtMs: nowMs - 60_000,
        expiresAtMs: nowMs + 840_000,
        tokenId: undefined,
      });
    }
  });

  test("TK8 what other services put into a token is ignored; jti becomes the token's id", async () => {
    const claims = JSON.stringify({ ...goodClaims, jti: "t-1", roles: ["x"] }).replace(
      "{",
      '{"__proto__":{"scope":1},',
    );
    const principal = await verifierOf().verify(forge(claims), nowMs);
    assert.equal(principal.tokenId, "t-1");
    assert.deepEqual([...principal.scopes].sort(), ["session:edit", "session:read"]);
  });
});

describe("what is no token", () => {
  test("TK1 a token of the limit is read, one byte more is refused before anything of it is", async () => {
    const token = forge({ ...goodClaims, padding: "x".repeat(600) });
    const verifier = (maxTokenBytes: number) => verifierOf(secretKeys, { maxTokenBytes });
    assert.equal((await verifier(token.length).verify(token, nowMs)).userId, canary);
    const limit = token.length - 1;
    await refused(token, `token is larger than ${limit} bytes`, verifier(limit));
    await refused("{".repeat(100_000), "token is larger than 8192 bytes");
  });

  test("TK2 a token is three parts of base64url in their one spelling", async () => {
    const good = forge(goodClaims);
    const [header, payload, signature] = good.split(".");
    const words = "token is not a signed JWT in compact form";
    const shapes = [
      "",
      ".",
      "..a",
      `${header}.${payload}`,
      `${good}.`,
      `${good}.${signature}.${signature}`,
      ` ${good}`,
      `${good}\n`,
      `${good}=`,
      `${header}.${payload}\t.${signature}`,
      good.replace("e", "é"),
      `${header}.${payload}.${"A".repeat(41)}`,
    ];
    for (const shape of shapes) await refused(shape, words);
    // The last character of 32 bytes carries two bits of nothing, that of 64 bytes four: other spellings decode alike.
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const es256 = forge(goodClaims, { alg: "ES256" }, p256Signer);
    for (const [token, spellings] of [
      [good, 4],
      [es256, 16],
    ] as const) {
      const last = alphabet.indexOf(token.at(-1) ?? "");
      for (let bits = 1; bits < spellings; bits += 1) {
        await refused(`${token.slice(0, -1)}${alphabet[last + bits]}`, words, verifierOf([...secretKeys, ...p256Keys]));
      }
    }
  });

  test("TK2 an encrypted token is refused", async () => {
    const header = base64Url(JSON.stringify({ alg: "dir", enc: "A256GCM" }));
    await refused(`${header}..AAAA.AAAA.AAAA`, "token is not a signed JWT in compact form");
    await refused(forge(goodClaims, { alg: "HS256", enc: "A256GCM" }), /parameter enc is not supported/);
  });

  test("TK2 a header that is no object of strings is refused", async () => {
    for (const header of [
      "[]",
      "null",
      "1",
      '"x"',
      "{",
      '{"kid":"a"}',
      '{"alg":1}',
      '{"alg":"HS256","kid":{"a":1}}',
      '{"alg":"HS256","typ":1}',
    ]) {
      const input = `${base64Url(header)}.${base64Url(JSON.stringify(goodClaims))}`;
      await refused(`${input}.${base64Url(hmac(secretText)(input, {}))}`, "token header is not valid");
    }
    const input = `${base64Url(Uint8Array.of(0x7b, 0xff, 0x7d))}.${base64Url(JSON.stringify(goodClaims))}`;
    await refused(`${input}.${base64Url(hmac(secretText)(input, {}))}`, "token header is not valid");
  });

  test("TK3 crit, b64, zip and cty are refused, rightly signed or not", async () => {
    const headers = [
      { alg: "HS256", crit: ["exp"], exp: 1 },
      { alg: "HS256", crit: ["b64"], b64: false },
      { alg: "HS256", b64: false },
      { alg: "HS256", zip: "DEF" },
      { alg: "HS256", cty: "JWT" },
    ];
    for (const header of headers) {
      await refused(forge(goodClaims, header), /^token header parameter (crit|b64|zip|cty) is not supported$/);
    }
    await refused(forge(forge(goodClaims), { alg: "HS256", cty: "JWT" }), /cty/);
  });

  test("TK11 whatever is sent, the answer is a named refusal that holds nothing of it", async () => {
    const verifier = verifierOf([...secretKeys, ...p256Keys, ...ed25519Keys]);
    const json = fc.jsonValue().map((value) => JSON.stringify(value));
    const headers = fc.record(
      { alg: fc.constantFrom("HS256", "ES256", "EdDSA", "none", "RS256"), kid: fc.string(), typ: fc.string() },
      { requiredKeys: ["alg"] },
    );
    const tokens = fc.oneof(
      fc.string(),
      fc.tuple(json, json, fc.string()).map((parts) => parts.map(base64Url).join(".")),
      fc.tuple(headers, json).map(([header, payload]) => forge(payload, header)),
      fc.tuple(headers, fc.uint8Array()).map(([header, payload]) => forge(payload, header, () => new Uint8Array(64))),
    );
    await fc.assert(
      fc.asyncProperty(tokens, (token) =>
        assertRefused(verifier.verify(token, nowMs), "TOKEN_INVALID", /^[a-z]/, token),
      ),
      { numRuns: 500 },
    );
  });
});

describe("a name that stands twice", () => {
  const good = JSON.stringify(goodClaims);
  const signed = (header: string, payload: string | Uint8Array) => {
    const input = `${base64Url(header)}.${base64Url(payload)}`;
    return `${input}.${base64Url(hmac(secretText)(input, {}))}`;
  };
  const header = '{"alg":"HS256"}';

  test("TK23 refuses claims in which it does, however deep and however it is spelled", async () => {
    const words = "the claims must be a JSON object that has no name twice";
    const twice = [
      '"sub":"mallory"',
      '"s\\u0075b":"mallory"',
      '"exp":9999999999',
      '"exp" \n:9999999999',
      '"other":1,"other":1',
      '"deep":{"a":[{"b":1,"c":{},"b":2}]}',
      '"":1,"":2',
      '"\\"":1,"\\u0022":2',
      '"__proto__":1,"__proto__":2',
    ];
    for (const claims of twice) {
      for (const text of [`{${claims},${good.slice(1)}`, `${good.slice(0, -1)},${claims}}`]) {
        JSON.parse(text);
        await refused(signed(header, text), words);
      }
    }
  });

  test("TK23 is no fault where it stands in two objects, or is no name", async () => {
    const once = [
      '"a":{"sub":1},"b":[{"sub":1},{"sub":{"sub":"sub"}}]',
      '"list":["sub","sub",":","sub"],"text":"\\"sub\\":1,\\"sub\\":2"',
      '"braces":"}{","more":"\\\\","{":"x"',
      '"__proto__":{"sub":1},"constructor":1,"toString":2',
    ];
    for (const claims of once) {
      const text = `{${claims},${good.slice(1)}`;
      assert.equal((await verifierOf().verify(signed(header, text), nowMs)).userId, canary);
    }
  });

  test("TK23 refuses a header in which it does, before anything is checked", async () => {
    for (const text of [
      '{"alg":"none","alg":"HS256"}',
      '{"alg":"HS256","\\u0061lg":"HS256"}',
      '{"alg":"HS256","kid":"a","kid":"b"}',
      '{"alg":"HS256","x":{"y":1,"y":1}}',
    ]) {
      JSON.parse(text);
      await refused(signed(text, good), "token header is not valid");
      await refused(`${base64Url(text)}.${base64Url(good)}.`, "token header is not valid");
    }
  });

  test("TK23 the signature comes first for claims, and takes no longer for many names", async () => {
    const text = `{"sub":1,${good.slice(1)}`;
    await refused(forge(text, { alg: "HS256" }, hmac("x")), "token signature does not match");
    const names = Array.from({ length: 20_000 }, (_, index) => `"n${index}"  :[{}]`).join(",");
    const token = signed(header, `{${names},${good.slice(1)}`);
    assert.equal((await verifierOf(secretKeys, { maxTokenBytes: 1e6 }).verify(token, nowMs)).userId, canary);
  });
});

describe("for what", () => {
  test("TK24 an ID token is refused, by what it says of itself or by what it lacks", async () => {
    const words = "this is an ID token; send the access token";
    for (const claim of ["at_hash", "c_hash"]) {
      for (const value of ["MTIzNDU2Nzg5MDEyMzQ1Ng", "", null, 1])
        await refused(forge({ ...goodClaims, [claim]: value }), words);
    }
    const { sessions: _sessions, scope: _scope, ...rest } = goodClaims;
    const idToken = { ...rest, iss: "https://id.example", aud: "a-client", nonce: "n-0S6_WzA2Mj", auth_time: rest.iat };
    for (const typ of [undefined, "JWT"]) {
      const header = { alg: "HS256", ...(typ === undefined ? {} : { typ }) };
      await refused(forge(idToken, header), "sessions is required; scope is required");
    }
    // One of an issuer that puts every claim into every token.
    const mixed = forge({ ...goodClaims, ...idToken });
    await refused(mixed, "token audience not accepted", verifierOf(secretKeys, { audience: "baton" }));
    // Some issuers repeat the nonce in access tokens.
    const access = forge(
      { ...goodClaims, nonce: "n-0S6_WzA2Mj", azp: "a-client", acr: "1" },
      { alg: "HS256", typ: "at+jwt" },
    );
    assert.equal((await verifierOf().verify(access, nowMs)).userId, canary);
  });

  test("TK7 a token of another type is refused", async () => {
    for (const typ of ["JWT", "jwt", "at+jwt", "application/at+JWT", "application/jwt"]) {
      assert.equal((await verifierOf().verify(forge(goodClaims, { alg: "HS256", typ }), nowMs)).userId, canary);
    }
    for (const typ of [
      "baton-resume",
      "application/baton-resume",
      "logout+jwt",
      "dpop+jwt",
      "secevent+jwt",
      "",
      "JOSE",
    ]) {
      await refused(forge(goodClaims, { alg: "HS256", typ }), "token type not accepted");
    }
  });

  test("TK9 issuer and audience are exact where they are configured", async () => {
    const verifier = verifierOf(secretKeys, { issuer: "https://id.example", audience: "baton" });
    const good = { ...goodClaims, iss: "https://id.example", aud: "baton" };
    assert.equal((await verifier.verify(forge(good), nowMs)).userId, canary);
    assert.equal((await verifier.verify(forge({ ...good, aud: ["other", "baton"] }), nowMs)).userId, canary);
    const { iss: _iss, ...noIssuer } = good;
    const { aud: _aud, ...noAudience } = good;
    const wrong = [
      [noIssuer, "iss is required"],
      [{ ...good, iss: "https://id.example/" }, "token issuer not accepted"],
      [{ ...good, iss: "" }, "token issuer not accepted"],
      [noAudience, "aud is required"],
      [{ ...good, aud: "baton2" }, "token audience not accepted"],
      [{ ...good, aud: ["other"] }, "token audience not accepted"],
      [{ ...good, aud: [] }, "token audience not accepted"],
      [{ ...good, aud: [["baton"]] }, "aud must be a string or an array of strings"],
      [{ ...good, iss: ["https://id.example"] }, "iss must be a string"],
    ] as const;
    for (const [claims, words] of wrong) await refused(forge(claims), words, verifier);
    // Where nothing is configured they do not matter.
    assert.equal((await verifierOf().verify(forge(good), nowMs)).userId, canary);
  });
});

describe("when", () => {
  const second = 1000;
  const at = (ms: number) => nowMs / second + ms / second;

  test("TK10 exp holds until exp + skew, to the millisecond", async () => {
    const token = forge({ ...goodClaims, exp: at(0) });
    const endMs = nowMs + skewMs;
    for (const time of [nowMs, endMs - second, endMs - 1]) {
      assert.equal((await verifierOf().verify(token, time)).userId, canary);
    }
    for (const time of [endMs, endMs + 1, endMs + second, endMs * 2]) {
      await assertRefused(verifierOf().verify(token, time), "TOKEN_EXPIRED", "token expired", token);
    }
  });

  test("TK10 nbf holds from nbf - skew on, to the millisecond", async () => {
    const token = forge({ ...goodClaims, nbf: at(0) });
    const startMs = nowMs - skewMs;
    for (const time of [startMs, startMs + 1, startMs + second]) {
      assert.equal((await verifierOf().verify(token, time)).userId, canary);
    }
    for (const time of [startMs - 1, startMs - second]) {
      await assertRefused(verifierOf().verify(token, time), "TOKEN_INVALID", "token not yet valid", token);
    }
  });

  test("TK10 an iat in the future is the same as an nbf", async () => {
    const token = forge({ ...goodClaims, iat: at(0) });
    const startMs = nowMs - skewMs;
    for (const time of [startMs, startMs + second]) {
      assert.equal((await verifierOf().verify(token, time)).userId, canary);
    }
    for (const time of [startMs - 1, startMs - second, 0]) {
      const words = "token not yet valid: iat is in the future";
      await assertRefused(verifierOf().verify(token, time), "TOKEN_INVALID", words, token);
    }
  });

  test("TK10 the verifier and the clock of a stream agree on the last millisecond", async () => {
    const times = fc.record({
      exp: fc.double({ min: goodClaims.iat + 1, max: goodClaims.iat + 100_000, noNaN: true }),
      skewMs: fc.nat(120_000),
      offsetMs: fc.integer({ min: -3, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(times, async ({ exp, skewMs, offsetMs }) => {
        const verifier = verifierOf(secretKeys, { skewMs });
        const token = forge({ ...goodClaims, exp });
        const principal = await verifier.verify(token, nowMs - 60_000);
        const { endsAtMs } = tokenTimes(principal, nowMs, skewMs);
        const taken = await verifier.verify(token, endsAtMs + offsetMs).then(
          () => true,
          () => false,
        );
        assert.equal(taken, offsetMs < 0);
      }),
    );
  });
});
