import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { reasons } from "../../src/session/reasons.ts";
import type { Target, Tried } from "./target.ts";
import { bodyOf, call, encode, faultOf, type Method, methods, reasonOf, type Way } from "./ways.ts";

export function testIds({ start, ways }: Tried): void {
  let relay: Target;
  before(async () => {
    relay = await start();
  });
  after(() => relay.stop());

  const sessionIds = [
    "",
    "x".repeat(129),
    "x".repeat(10_240),
    "../x",
    "a/../b",
    "a..",
    "..",
    ".",
    "/",
    "/a",
    "-a",
    "a b",
    "a\0",
    "a\r\nb",
    "a\n",
    "\na",
    "{demo}",
    "a{x}",
    "*",
    "a*",
    "a%2f",
    "a?b",
    "a#b",
    "a:b",
    "a\\b",
    "a'b",
    'a"b',
    "a;b",
    "$(a)",
    "`a`",
    "<a>",
    "d\u0435mo",
    "\u0440ay",
    "a\u200b",
    "\u202eomed",
    "d\u00e9mo",
    "ＤＥＭＯ",
    "\u{1f600}",
    "__proto__",
    "_a",
    "a\u0000b",
  ];
  const clientIds = [
    "x".repeat(65),
    "x".repeat(10_240),
    "a/b",
    "a.b",
    "a b",
    "a\0",
    "a\r\nb",
    "a\n",
    "{a}",
    "*",
    "é",
    "\u{1f600}",
  ];

  /** A call of a method for this session, as this client. */
  function request(way: Way, method: Method, sessionId: string, clientId = "c"): Uint8Array {
    const { input } = CodeReviewService.method[method];
    switch (method) {
      case "collaborativeSession":
        return encode(way, input, { sessionId, payload: { case: "join", value: { clientId } } });
      case "subscribe":
        return encode(way, input, { sessionId, join: { clientId } });
      case "publish":
        return encode(way, input, { sessionId, clientId });
      default:
        return encode(way, input, { sessionId });
    }
  }

  for (const way of ways) {
    describe(`names that are none: ${way.name}`, () => {
      for (const method of methods) {
        test(`ST7 ${method}: a session id outside of the pattern, whatever the token allows`, async () => {
          const token = await relay.token({ sessions: ["*"] });
          for (const id of sessionIds) {
            const answer = await call(relay, way, {
              method,
              token,
              deadlineMs: 5_000,
              body: bodyOf(way, method, request(way, method, id)),
            });
            const fault = faultOf(answer.error);
            assert.deepEqual(
              [id, fault?.reason, fault?.message],
              [id, "SESSION_ID_INVALID", reasons.SESSION_ID_INVALID.says],
            );
          }
        });
      }

      for (const method of ["collaborativeSession", "subscribe", "publish"] as const) {
        test(`ST8 ${method}: a client id outside of the pattern`, async () => {
          const token = await relay.token();
          for (const id of clientIds) {
            const answer = await call(relay, way, {
              method,
              token,
              deadlineMs: 5_000,
              body: bodyOf(way, method, request(way, method, "demo", id)),
            });
            assert.deepEqual([id, reasonOf(answer)], [id, "CLIENT_ID_INVALID"]);
          }
        });
      }
    });
  }

  test("ST7 ST8 names at the edge of their patterns are taken, also those that mean something to JavaScript", async () => {
    const [way] = ways;
    assert.ok(way !== undefined);
    for (const session of ["x".repeat(128), "constructor", "a.b/c_d-e", "0", "toString", "a__proto__"]) {
      for (const client of ["x".repeat(64), "__proto__", "constructor", "-", "_"]) {
        const token = await relay.token({ sessions: [session] });
        const say = encode(way, CodeReviewService.method.publish.input, {
          sessionId: session,
          clientId: client,
          messages: [{ clientSeq: 1n, payload: { case: "custom", value: {} } }],
        });
        const answer = await call(relay, way, { method: "publish", token, body: bodyOf(way, "publish", say) });
        assert.equal(reasonOf(answer), "OK", `${session} ${client}`);
      }
      assert.equal(await relay.headOf(session), 5);
    }
  });
}
