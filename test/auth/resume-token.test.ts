import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";
import fc from "fast-check";
import { createResumeTokens } from "../../src/auth/resume-token.ts";
import { reasons } from "../../src/session/reasons.ts";
import {
  assertRefused,
  base64Url,
  forge,
  goodClaims,
  hmac,
  nowMs,
  refused,
  type Signer,
  secretText,
  verifierOf,
} from "./fixtures.ts";

const secret = new TextEncoder().encode(secretText);
const ttlMs = 86_400_000;
const tokens = createResumeTokens({ secret, ttlMs });

const claims = {
  sessionId: "team-a/x",
  epoch: "e-1",
  userId: "alice-the-first",
  clientId: "tab-1",
  generation: 3,
  head: 97,
};
const holder = { sessionId: claims.sessionId, userId: claims.userId };
const payload = { version: 1, ...claims, expiresAtMs: nowMs + ttlMs };
const header = { alg: "HS256", typ: "baton-resume" };

const assertInvalid = (token: string, open = tokens.open(token, holder, nowMs)) =>
  assertRefused(open, "RESUME_TOKEN_INVALID", reasons.RESUME_TOKEN_INVALID.says, token);

describe("resume tokens", () => {
  test("TK17 what was issued is opened, whatever the numbers and names", async () => {
    const name = fc.string({ minLength: 1, maxLength: 256, unit: "grapheme" }).filter((text) => text.length <= 256);
    const any = fc.record(
      {
        sessionId: fc.stringMatching(/^[a-z][a-z0-9/-]{0,127}$/),
        epoch: fc.uuid(),
        userId: name,
        clientId: fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/),
        generation: fc.maxSafeNat(),
        head: fc.maxSafeNat(),
      },
      { noNullPrototype: true },
    );
    await fc.assert(
      fc.asyncProperty(any, async (issued) => {
        assert.deepEqual(await tokens.open(await tokens.issue(issued, nowMs), issued, nowMs), issued);
      }),
    );
  });

  test("TK17 the longest names fit", async () => {
    const longest = { ...claims, sessionId: "a".repeat(128), userId: "語".repeat(256), clientId: "c".repeat(64) };
    assert.deepEqual(await tokens.open(await tokens.issue(longest, nowMs), longest, nowMs), longest);
  });

  test("TK17 it is good for its time, to the millisecond", async () => {
    const token = await tokens.issue(claims, nowMs);
    for (const time of [0, nowMs, nowMs + ttlMs - 1]) assert.deepEqual(await tokens.open(token, holder, time), claims);
    for (const time of [nowMs + ttlMs, nowMs + ttlMs + 1]) await assertInvalid(token, tokens.open(token, holder, time));
  });

  test("TK17 one changed character, a cut or an addition makes it invalid", async () => {
    const token = await tokens.issue(claims, nowMs);
    const damaged = fc.oneof(
      fc
        .tuple(fc.nat(token.length - 1), fc.constantFrom(..."Ab0-_.="))
        .map(([at, character]) => token.slice(0, at) + character + token.slice(at + 1)),
      fc.nat(token.length - 1).map((length) => token.slice(0, length)),
      fc.string({ minLength: 1 }).map((more) => token + more),
      fc.string(),
    );
    await fc.assert(
      fc.asyncProperty(
        damaged.filter((text) => text !== token),
        (text) => assertInvalid(text),
      ),
      { numRuns: 300 },
    );
    await assertInvalid("A".repeat(5000));
  });

  test("TK17 another deployment's key, another version, other numbers: invalid", async () => {
    const other = createResumeTokens({ secret: new TextEncoder().encode(`${secretText}.`), ttlMs });
    await assertInvalid(await other.issue(claims, nowMs));
    assert.deepEqual(await tokens.open(forge(payload, header), holder, nowMs), claims);
    const wrong = [
      { version: 2 },
      { version: "1" },
      { version: undefined },
      { generation: -1 },
      { generation: 1.5 },
      { generation: 2 ** 53 },
      { generation: "3" },
      { head: 2 ** 53 },
      { head: -1 },
      { head: null },
      { clientId: "" },
      { epoch: 1 },
      { userId: undefined },
      { expiresAtMs: undefined },
      { expiresAtMs: "9999999999999" },
    ];
    for (const change of wrong) await assertInvalid(forge({ ...payload, ...change }, header));
    for (const body of ["", "null", "[]", "{"]) await assertInvalid(forge(body, header));
  });

  test("TK17 numbers that cannot be opened again are not issued", async () => {
    for (const change of [{ generation: 2 ** 53 }, { head: -1 }, { head: 0.5 }, { userId: "" }]) {
      await assert.rejects(async () => tokens.issue({ ...claims, ...change }, nowMs));
    }
  });

  test("TK17 of another subject or session: forbidden, without telling which", async () => {
    const token = await tokens.issue(claims, nowMs);
    const holders = [
      { ...holder, userId: "bob" },
      { ...holder, userId: "Alice-the-first" },
      { ...holder, sessionId: "team-a/y" },
      { ...holder, sessionId: "team-a" },
      { sessionId: "z", userId: "bob" },
    ];
    for (const other of holders) {
      await assertRefused(tokens.open(token, other, nowMs), "RESUME_FORBIDDEN", reasons.RESUME_FORBIDDEN.says, token);
    }
  });

  test("TK18 under one secret neither a resume token nor a JWT stands for the other", async () => {
    const both = { ...goodClaims, ...payload };
    await refused(await tokens.issue(claims, nowMs), "token type not accepted");
    await refused(forge(both, header), "token type not accepted");
    for (const typ of [undefined, "JWT", "at+jwt", "", "baton-resume2"]) {
      const token = forge(both, { alg: "HS256", ...(typ === undefined ? {} : { typ }) });
      await assertInvalid(token);
    }
    // Each is what it says it is to its own reader: only the type made the difference.
    assert.deepEqual(await tokens.open(forge(both, header), holder, nowMs), claims);
    assert.equal((await verifierOf().verify(forge(both, { alg: "HS256", typ: "JWT" }), nowMs)).userId, goodClaims.sub);
  });

  test("TK17 its algorithm is fixed", async () => {
    for (const alg of ["none", "None", "HS384", "HS512", "ES256", ""]) {
      await assertInvalid(forge(payload, { ...header, alg }));
      await assertInvalid(forge(payload, { ...header, alg }, () => new Uint8Array()));
    }
    const sha512: Signer = (input) => createHmac("sha512", secretText).update(input).digest();
    await assertInvalid(forge(payload, { ...header, alg: "HS512" }, sha512));
    await assertInvalid(forge(payload, { ...header, crit: ["b64"], b64: false }));
    const input = `${base64Url(JSON.stringify(header))}.`;
    await assertInvalid(`${input}.${base64Url(hmac(secretText)(input, header))}`);
  });

  test("TK19 a short secret is refused, and a later change of its bytes changes nothing", async () => {
    assert.throws(() => createResumeTokens({ secret: new Uint8Array(31), ttlMs }), /at least 32 bytes, this one 31/);
    const bytes = Uint8Array.from(secret);
    const own = createResumeTokens({ secret: bytes, ttlMs });
    bytes.fill(0);
    assert.deepEqual(await tokens.open(await own.issue(claims, nowMs), holder, nowMs), claims);
  });
});
