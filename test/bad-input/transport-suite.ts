import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Target, Tried } from "./target.ts";
import {
  bodyOf,
  call,
  encode,
  envelope,
  isBySocket,
  isUnary,
  type Method,
  methods,
  reasonOf,
  type Way,
} from "./ways.ts";

export function testTransport({ start, ways }: Tried): void {
  let relay: Target;
  before(async () => {
    relay = await start();
  });
  after(() => relay.stop());

  const schemaOf = (method: Method) => CodeReviewService.method[method].input;
  const demo = (way: Way, method: Method) => encode(way, schemaOf(method), { sessionId: "demo" });
  const pathOf = (method: Method) => `/codereview.v1.CodeReviewService/${CodeReviewService.method[method].name}`;

  describe("what is no call", () => {
    for (const method of methods) {
      test(`WR12 ${method}: other verbs, and content types that nobody speaks`, async () => {
        for (const verb of ["GET", "PUT", "DELETE", "PATCH"]) {
          const response = await fetch(relay.url + pathOf(method), { method: verb });
          assert.deepEqual([verb, response.status, response.headers.get("allow")], [verb, 405, "POST"]);
        }
        const odd = [
          "",
          "text/plain",
          "application/x-www-form-urlencoded",
          "application/connect+xml",
          "a\tb",
          "x".repeat(5000),
        ];
        for (const contentType of odd) {
          const headers = contentType === "" ? {} : { "content-type": contentType };
          const response = await fetch(relay.url + pathOf(method), {
            method: "POST",
            headers,
            body: new Uint8Array(5),
          });
          assert.equal(response.status, 415, contentType);
          const text = await response.text();
          assert.equal(JSON.parse(text).code, "unimplemented");
          assert.equal(text.includes("x".repeat(100)), false);
        }
      });
    }

    test("WR12 paths that are none: 404, without an echo", async () => {
      for (const path of [
        "/",
        "/codereview.v1.CodeReviewService",
        "/codereview.v1.CodeReviewService/",
        "/x/SWORDFISH",
        "/..%2f..%2fetc/passwd",
        "/codereview.v1.CodeReviewService/subscribe",
        "/codereview.v1.CodeReviewService/Subscribe/SWORDFISH",
        "/%00%0d%0aSWORDFISH",
      ]) {
        const response = await fetch(relay.url + path, { method: "POST", body: new Uint8Array(5) });
        assert.equal(response.status, 404, path);
        assert.equal(/SWORDFISH|passwd/.test(await response.text()), false, path);
      }
    });
  });

  for (const way of ways) {
    const timeouts =
      way.protocol === "connect"
        ? ["", "-1", "1.5", "12345678901", "1 0", "1s", "NaN", "0x10"]
        : ["", "1", "-1S", "123456789S", "1s", "1S 2", "S", "1.5S"];
    describe(`how a call is made: ${way.name}`, () => {
      for (const method of methods) {
        test(`WR15 WR21 ${method}: a timeout that is none is MALFORMED`, async () => {
          if (isBySocket(way, method)) return;
          const name = way.protocol === "connect" ? "connect-timeout-ms" : "grpc-timeout";
          const token = await relay.token();
          for (const value of timeouts) {
            const options = { method, token, headers: { [name]: value }, body: bodyOf(way, method, demo(way, method)) };
            const answer = await call(relay, way, options);
            assert.deepEqual([value, reasonOf(answer)], [value, "MALFORMED"]);
          }
        });

        test(`WR4 WR9 ${method}: flags, a message too many, none, half of one`, async () => {
          // A unary call of Connect has no envelopes.
          if (isUnary(method) && way.protocol === "connect") return;
          const token = await relay.token();
          const one = envelope(demo(way, method));
          const wrong: Record<string, Uint8Array> = {
            "half a head": one.subarray(0, 3),
            "half a message": one.subarray(0, -1),
            ...Object.fromEntries(
              [2, 3, 4, 64, 128, 129, 255].map((flags) => [`flags ${flags}`, envelope(demo(way, method), flags)]),
            ),
            ...(method === "collaborativeSession"
              ? {}
              : { nothing: new Uint8Array(), "two messages": Buffer.concat([one, one]) }),
          };
          for (const [title, body] of Object.entries(wrong)) {
            const answer = await call(relay, way, { method, token, body });
            assert.deepEqual([title, reasonOf(answer)], [title, "MALFORMED"]);
          }
        });
      }

      test("WR4 a message behind what would end a stream is not read, nor is a second end", async () => {
        const token = await relay.token({ sessions: ["ended"] });
        const join = encode(way, schemaOf("collaborativeSession"), {
          sessionId: "ended",
          payload: { case: "join", value: {} },
        });
        const say = encode(way, schemaOf("collaborativeSession"), {
          clientSeq: 1n,
          payload: { case: "custom", value: {} },
        });
        const flags = way.protocol === "connect" ? 2 : 128;
        const end = envelope(new TextEncoder().encode(way.protocol === "connect" ? "{}" : "grpc-status: 0\r\n"), flags);
        for (const rest of [[envelope(say)], [end], []]) {
          const body = Buffer.concat([envelope(join), end, ...rest]);
          const answer = await call(relay, way, {
            method: "collaborativeSession",
            token,
            body,
          });
          assert.equal(reasonOf(answer), "MALFORMED");
        }
        assert.equal(await relay.headOf("ended"), 0);
      });
    });
  }
}
