// What tells who somebody is.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { base64url } from "jose";
import { parseBearer, parseBearerSubprotocol } from "../../src/auth/bearer.ts";
import { parseClaims } from "../../src/auth/claims.ts";
import { readHeader } from "../../src/auth/compact-jws.ts";
import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet } from "../../src/auth/keys.ts";
import { createResumeTokens } from "../../src/auth/resume-token.ts";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { parseStrictJson } from "../../src/auth/strict-json.ts";
import { createTokenVerifier } from "../../src/auth/verify.ts";
import { BatonError, type Reason } from "../../src/session/reasons.ts";
import { mutate } from "../bad-input/mutate.ts";
import { createRandom } from "../support/random.ts";
import { fuzz, inputs, seed, utf8 } from "./support.ts";

const secret = utf8.encode("a secret of the tests, thirty-two bytes long");
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

const claims = {
  sub: "alice",
  iat: 1,
  exp: 2,
  sessions: ["demo", "team/*"],
  scope: "session:edit",
  jti: "x",
  aud: ["a"],
};

describe(`${inputs} inputs to what reads tokens, seed ${seed}`, () => {
  test("FZ1 JSON of a token: a value that JSON.parse reads too, or none", () => {
    const sound = [claims, { a: { b: [1, { c: '\u{1f600}\\"{' }] } }].map((value) =>
      utf8.encode(JSON.stringify(value)),
    );
    fuzz(sound, ["MALFORMED"], (bytes) => {
      const value = parseStrictJson(bytes);
      if (value === undefined) throw new BatonError("MALFORMED");
      assert.deepEqual(value, JSON.parse(new TextDecoder().decode(bytes)));
    });
  });

  test("FZ1 claims: each that is taken is as it must be", () => {
    const sound = [claims, { ...claims, jti: undefined, nbf: 1, iss: "i" }].map((value) =>
      utf8.encode(JSON.stringify(value)),
    );
    fuzz(sound, ["MALFORMED"], (bytes) => {
      const parsed = parseClaims(parseStrictJson(bytes));
      if (parsed.kind === "refused") {
        // It names claims, and repeats none of their values.
        assert.ok(parsed.message.length < 1000);
        throw new BatonError("MALFORMED");
      }
      const { sub, exp, iat, sessions } = parsed.claims;
      assert.ok(sub.length >= 1 && sub.length <= 256 && exp > iat && sessions.length <= 100);
    });
  });

  test("FZ1 the header of a token: a header or a refusal that quotes nothing", () => {
    const sound = [{ alg: "HS256" }, { alg: "ES256", kid: "k", typ: "JWT" }].map((header) =>
      utf8.encode(`${base64url.encode(JSON.stringify(header))}.${base64url.encode("{}")}.${base64url.encode("sig")}`),
    );
    fuzz(sound, ["MALFORMED"], (bytes) => {
      const read = readHeader(text(bytes), 1000);
      if (read.kind === "refused") throw new BatonError("MALFORMED", read.message);
      assert.equal(typeof read.header.alg, "string");
    });
  });

  test("FZ1 Authorization, and the subprotocol of a socket: a token or TOKEN_INVALID", () => {
    const sound = ["Bearer a.b.c", "bearer  x", "baton.v1, bearer.a.b.c"].map((value) => utf8.encode(value));
    fuzz(sound, ["TOKEN_INVALID"], (bytes) => {
      const value = text(bytes);
      const token = value.includes(",") ? parseBearerSubprotocol(value) : parseBearer(value);
      assert.ok(value.includes(token));
    });
  });

  test("FZ1 signed tokens: none is taken but those that were signed", async () => {
    const imported = await importSecret(secret);
    assert.equal(imported.kind, "keys");
    if (imported.kind !== "keys") return;
    const verifier = createTokenVerifier({ keys: createKeySet(imported.keys), skewMs: 0, maxTokenBytes: 8192 });
    const resume = createResumeTokens({ secret, ttlMs: 1e6 });
    const jwt = await signDevelopmentToken(
      secret,
      { sub: "alice", sessions: ["demo"], scope: "session:edit", ttlSeconds: 60 },
      0,
    );
    const holder = { sessionId: "demo", userId: "alice" };
    const resumeToken = await resume.issue({ ...holder, epoch: "e", clientId: "c", generation: 1, head: 1 }, 0);
    const named: readonly Reason[] = ["TOKEN_INVALID", "TOKEN_EXPIRED", "RESUME_TOKEN_INVALID", "RESUME_FORBIDDEN"];
    const random = createRandom(seed);
    let taken = 0;
    for (let n = 0; n < inputs / 2; n++) {
      const token = text(mutate(random, [utf8.encode(jwt), utf8.encode(resumeToken)]));
      for (const open of [() => verifier.verify(token, 1000), () => resume.open(token, holder, 1000)]) {
        try {
          await open();
          taken += 1;
          assert.ok(token === jwt || token === resumeToken, "a token was taken that nobody signed");
        } catch (error) {
          if (!(error instanceof BatonError && named.includes(error.reason))) throw error;
        }
      }
    }
    assert.ok(taken > inputs / 100, `${taken} taken`);
  });
});
