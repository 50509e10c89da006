import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertMayEnter, type Principal } from "../../src/auth/principal.ts";
import { checkRotation } from "../../src/auth/rotation.ts";
import { parseScopes } from "../../src/auth/scopes.ts";
import { type Reason, reasons } from "../../src/session/reasons.ts";
import { nowMs } from "./fixtures.ts";

const principal: Principal = {
  userId: "alice",
  scopes: parseScopes("session:edit"),
  sessions: ["demo", "team-a/*"],
  issuedAtMs: nowMs,
  expiresAtMs: nowMs + 900_000,
  tokenId: undefined,
};

const throwsReason = (attempt: () => void, reason: Reason, message: string) =>
  assert.throws(attempt, { name: "BatonError", reason, message });

describe("what a principal may do", () => {
  test("TK14 it enters what it names; all else is forbidden in the same words", () => {
    for (const id of ["demo", "team-a/x", "team-a/x/y"]) assertMayEnter(principal, id);
    for (const id of ["demo2", "team-a", "team-b/x", "never-heard-of", "*", ""]) {
      throwsReason(() => assertMayEnter(principal, id), "SESSION_FORBIDDEN", reasons.SESSION_FORBIDDEN.says);
    }
    throwsReason(
      () => assertMayEnter({ ...principal, sessions: [] }, "demo"),
      "SESSION_FORBIDDEN",
      reasons.SESSION_FORBIDDEN.says,
    );
  });
});

describe("rotation", () => {
  test("TK16 another lifetime, scopes, id and list of sessions are fine, also for the less", () => {
    const changes: readonly Partial<Principal>[] = [
      {},
      { expiresAtMs: nowMs + 1 },
      { expiresAtMs: nowMs + 9_000_000 },
      { issuedAtMs: nowMs - 60_000 },
      { scopes: parseScopes("session:read") },
      { scopes: parseScopes("session:admin session:edit session:comment") },
      { sessions: ["demo"] },
      { sessions: ["*"] },
      { tokenId: "other" },
    ];
    for (const change of changes) checkRotation(principal, { ...principal, ...change }, "demo");
  });

  test("TK16 another subject, a token without this session, and one that may not read are rejected", () => {
    const reject = (change: Partial<Principal>, why: string, sessionId = "demo") =>
      throwsReason(
        () => checkRotation(principal, { ...principal, ...change }, sessionId),
        "ROTATION_REJECTED",
        `the new token ${why}; the one in force stays`,
      );
    for (const userId of ["bob", "Alice", "alice ", ""]) reject({ userId }, "is another subject's");
    reject({ sessions: ["demo2", "demo/*"] }, "does not name this session");
    reject({ sessions: [] }, "does not name this session");
    reject({ sessions: ["demo"] }, "does not name this session", "team-a/x");
    reject({ scopes: parseScopes("openid") }, "lacks the scope session:read");
  });
});
