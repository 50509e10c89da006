import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseBearer, parseBearerSubprotocol } from "../../src/auth/bearer.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { assertTellsNothing, forge, goodClaims } from "./fixtures.ts";

const token = forge(goodClaims);

function assertInvalid(attempt: () => string, message: string): void {
  assert.throws(attempt, (error) => {
    assert.ok(error instanceof BatonError);
    assert.equal(error.reason, "TOKEN_INVALID");
    assert.equal(error.message, message);
    assertTellsNothing(error, token);
    return true;
  });
}

describe("bearer", () => {
  test("TK15 the token of an Authorization header", () => {
    for (const scheme of ["Bearer ", "bearer ", "BEARER  "]) assert.equal(parseBearer(`${scheme}${token}`), token);
  });

  test("TK15 no header: it says what to send", () => {
    for (const value of [null, undefined, ""]) {
      assertInvalid(() => parseBearer(value), "no token was sent; send Authorization: Bearer <jwt>");
    }
  });

  test("TK15 another form: it says the right one", () => {
    const twice = new Headers([
      ["authorization", `Bearer ${token}`],
      ["authorization", `Bearer ${token}`],
    ]).get("authorization");
    const values = [
      token,
      "Bearer",
      "Bearer ",
      `Bearer${token}`,
      `Basic ${token}`,
      `Bearer ${token} x`,
      `Bearer "${token}"`,
      `Bearer ${token}\n`,
      ` Bearer ${token}`,
      twice,
    ];
    for (const value of values) {
      assertInvalid(() => parseBearer(value), "the Authorization header is not of the form Bearer <jwt>");
    }
  });

  test("TK15 the token among the subprotocols of a WebSocket", () => {
    assert.equal(parseBearerSubprotocol(`baton.v1, bearer.${token}`), token);
    assert.equal(parseBearerSubprotocol(`bearer.${token},baton.v1.json`), token);
    for (const value of [null, undefined, "", "baton.v1", `baton.v1, ${token}`, `Bearer.${token}`]) {
      assertInvalid(() => parseBearerSubprotocol(value), "no token was sent; offer the subprotocol bearer.<jwt>");
    }
    const twice = `bearer.${token}, bearer.${token}`;
    assertInvalid(() => parseBearerSubprotocol(twice), "more than one subprotocol bearer.<jwt> was offered");
  });
});
