import assert from "node:assert/strict";
import http from "node:http";
import http2 from "node:http2";
import { after, before, describe, test } from "node:test";
import { ConnectError, createClient } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { batonErrorFrom } from "../../src/relay/wire/errors.ts";
import { startRelay, type TestRelay } from "./harness.ts";

const listed = "https://app.example.com";
const publishPath = "/codereview.v1.CodeReviewService/Publish";
const subscribePath = "/codereview.v1.CodeReviewService/Subscribe";

let relay: TestRelay;
let port: number;
before(async () => {
  relay = await startRelay({ allowedOrigins: [listed, "http://localhost:5173"] });
  port = Number(new URL(relay.url).port);
});
after(() => relay.stop());

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** Over HTTP/1.1, with exactly these headers: `Host` and `Origin` are the client's to choose. */
async function ask({ method = "POST", path = publishPath, headers = {}, body = "{}" }: Asked): Promise<Answer> {
  return await new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, method, path, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    request.on("error", reject);
    request.end(method === "POST" ? body : undefined);
  });
}

const json = { "content-type": "application/json" };

/** Of whoever is let in: nobody's token is missing before the origin was looked at. */
const passed = ({ status, body }: Answer) => status === 401 && body.includes("TOKEN_INVALID");

function assertAllowsNothing({ headers }: Answer): void {
  const names = Object.keys(headers).filter((name) => name.startsWith("access-control-"));
  assert.deepEqual(names, []);
}

const varies = ({ headers }: Answer) => (headers.vary ?? "").toLowerCase().split(/, */).includes("origin");

describe("who may call", () => {
  test("CO1 a request without an origin passes, and its answer varies by origin all the same", async () => {
    const answer = await ask({ headers: json });
    assert.ok(passed(answer), answer.body);
    assert.ok(varies(answer));
    assertAllowsNothing(answer);
  });

  test("CO1 the relay's own pages pass, also where TLS ends before it", async () => {
    for (const [host, origin] of [
      [`127.0.0.1:${port}`, `http://127.0.0.1:${port}`],
      [`127.0.0.1:${port}`, `https://127.0.0.1:${port}`],
      ["baton.example.com", "https://baton.example.com"],
      ["baton.example.com", "http://baton.example.com"],
      ["[::1]:8080", "http://[::1]:8080"],
    ] as const) {
      const answer = await ask({ headers: { ...json, host, origin } });
      assert.ok(passed(answer), `${host} ${origin}: ${answer.status} ${answer.body}`);
      assert.ok(varies(answer));
      assertAllowsNothing(answer);
    }
  });

  test("CO1 over HTTP/2 the relay's own origin is that of :authority", async () => {
    const connection = http2.connect(relay.url);
    try {
      for (const [origin, status] of [
        [relay.url, 401],
        ["http://example.com", 403],
      ] as const) {
        const stream = connection.request({ ":method": "POST", ":path": publishPath, ...json, origin });
        stream.end("{}");
        const got = await new Promise((resolve) => stream.on("response", (headers) => resolve(headers[":status"])));
        stream.resume();
        assert.equal(got, status);
      }
    } finally {
      connection.close();
    }
  });

  test("CO2 a listed origin passes; the answer names it alone, and what may be read", async () => {
    for (const origin of [listed, "http://localhost:5173"]) {
      const answer = await ask({ headers: { ...json, origin } });
      assert.ok(passed(answer), answer.body);
      assert.equal(answer.headers["access-control-allow-origin"], origin);
      assert.ok(varies(answer));
      const exposed = (answer.headers["access-control-expose-headers"] ?? "").toLowerCase().split(", ");
      for (const name of ["grpc-status", "grpc-message", "grpc-status-details-bin", "connect-accept-encoding"]) {
        assert.ok(exposed.includes(name), name);
      }
      assert.ok(!exposed.includes("*"));
    }
  });

  test("CO2 a listed page's streams and calls work, and each answer can be read by it", async () => {
    const token = await relay.token();
    for (const createTransport of [createConnectTransport, createGrpcWebTransport]) {
      const seen: Headers[] = [];
      const client = createClient(CodeReviewService, createTransport({ baseUrl: relay.url }));
      const headers = { authorization: `Bearer ${token}`, origin: listed };
      const onHeader = (answered: Headers) => void seen.push(answered);
      const abort = new AbortController();
      const kinds: (string | undefined)[] = [];
      const options = { headers, onHeader, signal: abort.signal };
      for await (const { payload } of client.subscribe({ sessionId: "demo", join: {} }, options)) {
        kinds.push(payload.case);
        if (payload.case === "welcome") break;
      }
      abort.abort();
      assert.deepEqual(kinds, ["heartbeat", "welcome"]);
      await client.publish({ sessionId: "demo", clientId: "c" }, { headers, onHeader });
      assert.deepEqual(
        seen.map((each) => each.get("access-control-allow-origin")),
        [listed, listed],
      );
    }
  });
});

describe("who may not", () => {
  const forbidden = [
    "null",
    "",
    "https://evil-app.example.com",
    "https://app.example.com.evil",
    "https://app.example.com.evil.example",
    "https://evil.example?https://app.example.com",
    "https://app.example.com:444",
    "https://app.example.com:443",
    "http://app.example.com",
    "https://example.com",
    "https://sub.app.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
    "https://app.example.com https://app.example.com",
    "https://app.example.com, https://app.example.com",
    "http://localhost:5174",
    "https://localhost:5173",
    "http://127.0.0.1",
    "http://localhost",
    "*",
  ];
  for (const origin of forbidden) {
    test(`CO3 a page of ${JSON.stringify(origin)} is refused 403 ORIGIN_FORBIDDEN`, async () => {
      const answer = await ask({ headers: { ...json, origin } });
      assert.equal(answer.status, 403);
      const { code, details } = JSON.parse(answer.body);
      assert.equal(code, "permission_denied");
      assert.match(JSON.stringify(details), /codereview\.v1\.Fault/);
      assert.ok(varies(answer));
      assertAllowsNothing(answer);
    });
  }

  test("CO3 the origin of another host, or of the own host by another port, is not the relay's own", async () => {
    for (const [host, origin] of [
      ["baton.example.com", "https://baton.example.com:8443"],
      ["baton.example.com:8080", "https://baton.example.com"],
      ["baton.example.com", "https://baton.example.com.evil"],
      ["baton.example.com", "https://evil-baton.example.com"],
      ["baton.example.com", "ftp://baton.example.com"],
    ] as const) {
      assert.equal((await ask({ headers: { ...json, host, origin } })).status, 403, `${host} ${origin}`);
    }
  });

  test("CO3 on every path, for every method, in the form of the protocol that was spoken", async () => {
    const origin = "https://evil.example";
    for (const path of [publishPath, subscribePath, "/codereview.v1.CodeReviewService/Nothing", "/nothing"]) {
      for (const method of ["POST", "GET", "OPTIONS"]) {
        assert.equal((await ask({ method, path, headers: { origin } })).status, 403, `${method} ${path}`);
      }
    }
    const grpcWeb = await ask({
      path: subscribePath,
      headers: { origin, "content-type": "application/grpc-web+proto" },
    });
    assert.equal(grpcWeb.status, 403);
    const error = findTrailerError(
      new Headers(Object.entries(grpcWeb.headers).map(([name, value]) => [name, String(value)])),
    );
    assert.equal(error && batonErrorFrom(error)?.reason, "ORIGIN_FORBIDDEN");
    const response = await fetch(relay.url + publishPath, { method: "POST", headers: { ...json, origin }, body: "{}" });
    const connect = ConnectError.from(await createClientError(origin));
    assert.equal(response.status, 403);
    assert.equal(batonErrorFrom(connect)?.reason, "ORIGIN_FORBIDDEN");
  });

  async function createClientError(origin: string): Promise<unknown> {
    const client = createClient(CodeReviewService, createConnectTransport({ baseUrl: relay.url }));
    return await client.publish({}, { headers: { origin } }).catch((error: unknown) => error);
  }

  test("CO3 a good token does not help, and nothing was done", async () => {
    const headers = { authorization: `Bearer ${await relay.token({ sessions: ["untouched"] })}` };
    const body = JSON.stringify({
      sessionId: "untouched",
      clientId: "c",
      messages: [{ clientSeq: 1, custom: { type: "t" } }],
    });
    const answer = await ask({ headers: { ...json, ...headers, origin: "https://evil.example" }, body });
    assert.equal(answer.status, 403);
    assert.equal(await relay.log.describe("untouched"), undefined);
  });
});

describe("preflights", () => {
  const preflight = (headers: Record<string, string>, method = "POST") =>
    ask({ method: "OPTIONS", headers: { "access-control-request-method": method, ...headers } });

  test("CO4 a listed origin is told the method, the headers and for how long", async () => {
    for (const asked of [
      "authorization,content-type,connect-protocol-version",
      "Authorization, Content-Type, X-Grpc-Web, X-User-Agent, Grpc-Timeout",
      "connect-timeout-ms, connect-content-encoding, grpc-encoding, content-encoding",
      "",
    ]) {
      const answer = await preflight({ origin: listed, "access-control-request-headers": asked });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers["access-control-allow-origin"], listed);
      assert.equal(answer.headers["access-control-allow-methods"], "POST");
      const allowed = (answer.headers["access-control-allow-headers"] ?? "").toLowerCase().split(", ");
      for (const name of asked.toLowerCase().split(/, */)) assert.ok(name === "" || allowed.includes(name), name);
      assert.ok(!allowed.includes("*"));
      assert.equal(answer.headers["access-control-max-age"], "7200");
      assert.ok(varies(answer));
      assert.match(answer.headers.vary ?? "", /access-control-request-headers/);
      assert.equal(answer.body, "");
    }
  });

  test("CO4 another header, another method or another origin is allowed nothing", async () => {
    const good = { origin: listed, "access-control-request-headers": "authorization" };
    const answers = [
      await preflight({ ...good, "access-control-request-headers": "authorization, x-secret" }),
      await preflight({ ...good, "access-control-request-headers": "cookie" }),
      await preflight({ ...good, "access-control-request-headers": "*" }),
      await preflight(good, "PUT"),
      await preflight(good, "DELETE"),
      await preflight({ ...good, origin: "https://evil.example" }),
      await preflight({ ...good, origin: "null" }),
      await preflight({ ...good, origin: relay.url }),
    ];
    for (const answer of answers) {
      assertAllowsNothing(answer);
      assert.ok(varies(answer));
    }
    assert.deepEqual(
      answers.map(({ status }) => status),
      [204, 204, 204, 204, 204, 403, 403, 204],
    );
  });

  test("CO4 an OPTIONS that is no preflight is another verb", async () => {
    assert.equal((await ask({ method: "OPTIONS", headers: { origin: listed } })).status, 405);
    assert.equal((await ask({ method: "OPTIONS" })).status, 405);
  });
});

describe("credentials", () => {
  test("CO5 none are allowed, and a cookie is none", async () => {
    const token = await relay.token();
    for (const origin of [{}, { origin: listed }, { origin: relay.url }]) {
      const cookie = `token=${token}; authorization=Bearer ${token}`;
      const answer = await ask({ headers: { ...json, ...origin, cookie } });
      assert.ok(passed(answer), answer.body);
      assert.equal(answer.headers["access-control-allow-credentials"], undefined);
      assert.equal(answer.headers["set-cookie"], undefined);
    }
    const answer = await ask({
      method: "OPTIONS",
      headers: { origin: listed, "access-control-request-method": "POST" },
    });
    assert.equal(answer.headers["access-control-allow-credentials"], undefined);
  });
});
