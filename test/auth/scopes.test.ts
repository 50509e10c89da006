import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { isScope, mayWrite, parseScopes, requiredScope, scopes } from "../../src/auth/scopes.ts";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";

describe("scopes", () => {
  test("TK12 each known scope implies read, and no other; unknown words are ignored", () => {
    for (const scope of scopes) {
      assert.deepEqual(parseScopes(`${scope} orders:write  openid`), new Set([scope, "session:read"]));
    }
    for (const claim of [
      "",
      " ",
      "openid",
      "session:",
      "session:owner",
      "SESSION:EDIT",
      "session:edit,session:read",
      "session:edit\t",
      "edit",
      "__proto__",
    ]) {
      assert.deepEqual(parseScopes(claim), new Set(), claim);
    }
  });

  test("TK12 a claim grants just the known words in it, whatever the order", () => {
    const words = fc.array(
      fc.oneof(
        fc.constantFrom(...scopes),
        fc.string().map((text) => text.replaceAll(" ", "")),
      ),
    );
    fc.assert(
      fc.property(words, (list) => {
        const named = list.filter(isScope);
        assert.deepEqual(parseScopes(list.join(" ")), new Set(named.length > 0 ? [...named, "session:read"] : []));
      }),
    );
  });

  test("TK12 one who may only read may not write", () => {
    assert.equal(mayWrite(parseScopes("session:read")), false);
    assert.equal(mayWrite(parseScopes("openid")), false);
    for (const scope of scopes.filter((name) => name !== "session:read")) {
      assert.equal(mayWrite(parseScopes(scope)), true, scope);
    }
  });

  test("TK12 what each payload of the contract needs", () => {
    const payload = SessionMessageSchema.oneofs.find(({ name }) => name === "payload");
    const table = new Map(payload?.fields.map(({ localName }) => [localName, requiredScopeOf(localName)]));
    assert.deepEqual(Object.fromEntries(table), {
      edit: "session:edit",
      comment: "session:comment",
      cursor: "session:read",
      presence: "session:read",
      custom: "session:custom",
      ack: undefined,
      heartbeat: "session:read",
      join: "session:read",
      welcome: undefined,
      tokenRotation: "session:read",
      tokenStatus: undefined,
      snapshot: undefined,
      fault: undefined,
      goAway: undefined,
    });
    assert.equal(requiredScope(undefined), undefined);
  });
});

/** The contract's own list of cases, so that a new one is seen here; the compiler sees it in the switch. */
function requiredScopeOf(localName: string) {
  const cases = [
    "edit",
    "comment",
    "cursor",
    "presence",
    "custom",
    "ack",
    "heartbeat",
    "join",
    "welcome",
    "tokenRotation",
    "tokenStatus",
    "snapshot",
    "fault",
    "goAway",
  ] as const;
  const found = cases.find((name) => name === localName);
  assert.ok(found !== undefined, `${localName} is new`);
  return requiredScope(found);
}
