import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseClaims } from "../../src/auth/claims.ts";
import { canary, forge, goodClaims, hmac, refused, secretText } from "./fixtures.ts";

function messageOf(claims: unknown): string {
  const parsed = parseClaims(claims);
  return parsed.kind === "refused" ? parsed.message : "";
}

const withClaim = (claim: string, value: unknown) => ({ ...goodClaims, [claim]: value });

describe("claims", () => {
  test("TK8 the claims needed are named when they are missing", () => {
    for (const claim of ["sub", "iat", "exp", "sessions", "scope"]) {
      assert.equal(messageOf(withClaim(claim, undefined)), `${claim} is required`);
    }
    for (const claim of ["nbf", "jti", "iss", "aud"]) assert.equal(messageOf(withClaim(claim, undefined)), "");
  });

  test("TK8 every fault is told at once", () => {
    assert.equal(messageOf({ sub: "a", scope: "" }), "iat is required; exp is required; sessions is required");
  });

  test("TK8 the payload is a JSON object", async () => {
    for (const payload of ["", "x", "[]", "1", "null", '"x"', '{"sub":', `${JSON.stringify(goodClaims)} .`]) {
      await refused(forge(payload), "the claims must be a JSON object that has no name twice");
    }
    const broken = Uint8Array.from([...Buffer.from('{"sub":"'), 0xff, ...Buffer.from('"}')]);
    await refused(forge(broken), "the claims must be a JSON object that has no name twice");
  });

  test("TK8 a time is a finite number of seconds that can be told in milliseconds", async () => {
    for (const claim of ["iat", "exp", "nbf"]) {
      const words = `${claim} must be a number of seconds since the Unix epoch`;
      for (const value of ["1800000000", null, true, [1], {}, -1, -0.001, 1e308, 8.64e12 + 1, Number.NaN, Infinity]) {
        assert.equal(messageOf(withClaim(claim, value)), words, `${claim} ${value}`);
      }
      await refused(forge(JSON.stringify(withClaim(claim, 0)).replace(`"${claim}":0`, `"${claim}":1e400`)), words);
    }
    assert.equal(messageOf(withClaim("exp", goodClaims.exp + 0.5)), "");
    assert.equal(messageOf(withClaim("exp", 8.64e12)), "");
  });

  test("TK8 a lifetime is positive", () => {
    assert.equal(messageOf(withClaim("exp", goodClaims.iat)), "exp must be after iat");
    assert.equal(messageOf(withClaim("exp", goodClaims.iat - 1)), "exp must be after iat");
    assert.equal(messageOf(withClaim("exp", goodClaims.iat + 1)), "");
  });

  test("TK8 a subject has 1 to 256 characters, none of which could forge a log line or be lost in UTF-8", () => {
    const words = "sub must be a string of 1 to 256 characters, none of them a control character";
    const bad = [
      "",
      "a".repeat(257),
      "a\nb",
      "a\r",
      "\0",
      "\u001b[2J",
      "\u007f",
      "\u0085",
      "\u2028",
      "\ud800",
      "a\udc00",
      7,
      null,
    ];
    for (const sub of bad) assert.equal(messageOf(withClaim("sub", sub)), words, JSON.stringify(sub));
    for (const sub of ["a", "a".repeat(256), "https://id.example|42", "Zoë 🦊", "__proto__"]) {
      assert.equal(messageOf(withClaim("sub", sub)), "");
    }
  });

  test("TK8 a token id is a name too; a scope is one string", () => {
    assert.match(messageOf(withClaim("jti", "a\nb")), /^jti must be/);
    assert.match(messageOf(withClaim("jti", 7)), /^jti must be/);
    assert.equal(
      messageOf(withClaim("scope", ["session:read"])),
      "scope must be a string of words separated by spaces",
    );
  });

  test("TK13 a token with a pattern that can match nothing is refused, as is one with too many", async () => {
    const words = "sessions: each is a session id, or the beginning of one and a final *";
    for (const pattern of [
      "",
      "a*b",
      "**",
      "*a",
      "a/*/b",
      "-a",
      "a b",
      "a..b",
      "../*",
      "é*",
      `${"a".repeat(129)}`,
      `${"a".repeat(129)}*`,
    ]) {
      assert.equal(messageOf(withClaim("sessions", ["demo", pattern])), words, pattern);
    }
    const shape = 'sessions must be an array of at most 100 patterns: "demo", "team-a/*"';
    for (const sessions of ["demo", { 0: "demo" }, [["demo"]], [1], Array(101).fill("a")]) {
      assert.equal(messageOf(withClaim("sessions", sessions)), shape);
    }
    assert.equal(messageOf(withClaim("sessions", Array(100).fill(`${"a".repeat(128)}*`))), "");
    assert.equal(messageOf(withClaim("sessions", [])), "");
    await refused(forge(withClaim("sessions", [`${canary}*${canary}`])), words);
  });

  test("TK11 a refusal of claims repeats none of them", async () => {
    const hidden = "hidden-value-0815";
    for (const claim of ["iat", "exp", "nbf", "sub", "jti", "iss", "aud", "sessions", "scope"]) {
      for (const value of [[[hidden]], { [hidden]: hidden }, claim === "sub" ? `${hidden}\n` : [hidden, 1]]) {
        const message = messageOf(withClaim(claim, value));
        assert.notEqual(message, "");
        assert.ok(!message.includes("hidden"), message);
        await refused(forge(withClaim(claim, value)), message);
      }
    }
  });

  test("TK6 claims are judged only under a signature that matches", async () => {
    await refused(forge({}, { alg: "HS256" }, hmac(`${secretText}.`)), "token signature does not match");
    await refused(
      forge({ ...goodClaims, exp: 1, iat: 0 }, { alg: "HS256" }, hmac("x")),
      "token signature does not match",
    );
  });
});
