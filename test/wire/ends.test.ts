import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import type { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { CodeReviewService, Fault_Action, FaultSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { StreamCall } from "../../src/relay/stream.ts";
import { BatonError, type Reason, reasons } from "../../src/session/reasons.ts";
import { customMessage, type Harness, type HarnessOptions, listenerHere, startHarness, typeOf } from "./harness.ts";
import { callOnce, endOf, namesOf, openH2, sessionPath, splitFrames } from "./raw.ts";

const allReasons = Object.keys(reasons).filter((name): name is Reason => Object.hasOwn(reasons, name));

type Call = StreamCall<typeof SessionMessageSchema>;

const running: Harness[] = [];
async function start(session: (call: Call) => Promise<void>, options: HarnessOptions = {}): Promise<Harness> {
  const harness = await startHarness({ ...options, session });
  running.push(harness);
  return harness;
}
after(() => Promise.all(running.map((harness) => harness.stop())));

const transports = {
  "Connect binary": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  "Connect JSON": (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  "gRPC-Web": (baseUrl: string) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
};

async function* oneMessage() {
  yield customMessage("x");
}

/** How a client of this library sees a stream end. */
async function endSeen(createTransport: (baseUrl: string) => ReturnType<typeof createConnectTransport>, url: string) {
  const client = createClient(CodeReviewService, createTransport(url));
  const got: string[] = [];
  try {
    for await (const message of client.collaborativeSession(oneMessage())) got.push(typeOf(message));
    return { got, error: undefined };
  } catch (error) {
    return { got, error: ConnectError.from(error) };
  }
}

describe("the end of a stream", () => {
  for (const [title, createTransport] of Object.entries(transports)) {
    test(`WR10 OK: ${title}`, async () => {
      const harness = await start(async ({ outlet }) => outlet.end());
      assert.deepEqual(await endSeen(createTransport, harness.url), { got: [], error: undefined });
    });

    test(`WR10 every reason arrives with its code, its text and its Fault: ${title}`, async () => {
      let reason: Reason = "DRAIN";
      const harness = await start(async ({ outlet }) =>
        outlet.end(new BatonError(reason, undefined, { retryAfterMs: 5 })),
      );
      for (reason of allReasons) {
        const { error } = await endSeen(createTransport, harness.url);
        const fault = error?.findDetails(FaultSchema)[0];
        const expected = new BatonError(reason);
        assert.equal(error?.rawMessage, expected.message);
        assert.deepEqual(
          [fault?.code, fault?.reason, fault?.message, fault?.action, fault?.retryAfterMs],
          [expected.code, reason, expected.message, expected.action, 5n],
        );
        assert.equal(Code[error?.code ?? 0].replace(/(?<=.)[A-Z]/g, "_$&").toLowerCase(), expected.code);
      }
    });

    test(`WR10 a handler that rejects ends the stream with its error: ${title}`, async () => {
      const harness = await start(() => Promise.reject(new BatonError("SESSION_FULL")));
      const { error } = await endSeen(createTransport, harness.url);
      assert.deepEqual(namesOf(error), { code: "ResourceExhausted", reason: "SESSION_FULL" });
      assert.deepEqual(harness.reported, []);
    });

    test(`WR11 an error of others is INTERNAL, and its text is the stream id alone: ${title}`, async () => {
      const secret = new Error("swordfish");
      const harness = await start(() => Promise.reject(secret));
      const { error } = await endSeen(createTransport, harness.url);
      const streamId = harness.calls[0]?.call.streamId;
      assert.deepEqual(namesOf(error), { code: "Internal", reason: "INTERNAL" });
      assert.equal(error?.rawMessage, `internal error; stream ${streamId}`);
      assert.equal(error?.findDetails(FaultSchema)[0]?.action, Fault_Action.RECONNECT);
      assert.deepEqual(harness.reported, [{ streamId, error: secret }]);
    });
  }

  for (const [header, value, contentType] of [
    ["connect-timeout-ms", "50", "application/connect+proto"],
    ["grpc-timeout", "50m", "application/grpc-web+proto"],
    ["grpc-timeout", "50000u", "application/grpc-web+proto"],
  ] as const) {
    test(`WR16 ${header}: ${value} aborts the signal with DEADLINE, once, and the client is told`, async () => {
      const harness = await start(() => new Promise(() => {}));
      const called = harness.nextCall();
      const { closed, collect, received, connection } = openH2(harness.url, {
        "content-type": contentType,
        [header]: value,
      });
      collect();
      await closed;
      connection.close();
      const seen = await called;
      assert.deepEqual(namesOf(endOf(received())), { code: "DeadlineExceeded", reason: "DEADLINE" });
      assert.ok(seen.call.signal.reason instanceof BatonError);
      assert.equal(seen.call.signal.reason.reason, "DEADLINE");
      assert.equal(seen.aborts, 1);
    });
  }

  test("WR16 a deadline longer than a timer can be is none", async () => {
    const harness = await start(async ({ signal, outlet }) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      outlet.end(signal.aborted ? new BatonError("DEADLINE") : undefined);
    });
    const answer = await callOnce(harness.url, new Uint8Array(5), { "connect-timeout-ms": "9999999999" });
    assert.equal(endOf(answer), undefined);
  });

  test("WR10 after the end nothing more is written, and a second end is none", async () => {
    const harness = await start(async ({ outlet }) => {
      outlet.end();
      assert.equal(outlet.write(new Uint8Array(5)), undefined);
      outlet.end(new BatonError("DRAIN"));
    });
    const answer = await callOnce(harness.url, new Uint8Array(0));
    assert.equal(splitFrames(answer).length, 1);
    assert.equal(endOf(answer), undefined);
  });

  test("WR10 the end aborts the signal once, and rejects who still waits for a message", async () => {
    const harness = await start(async ({ inbound, outlet }) => {
      setTimeout(() => outlet.end(), 20);
      for await (const _ of inbound);
    });
    const called = harness.nextCall();
    const { closed, collect, received, connection } = openH2(harness.url);
    collect();
    await closed;
    connection.close();
    const seen = await called;
    assert.equal(await seen.handled, seen.call.signal.reason);
    assert.equal(seen.aborts, 1);
    assert.equal(endOf(received()), undefined);
    assert.deepEqual(harness.reported, []);
  });
});

describe("what is no call", () => {
  let harness: Harness;
  before(async () => {
    harness = await start(async ({ inbound }) => {
      for await (const _ of inbound);
    });
  });
  const post = (path: string, headers: Record<string, string>, method = "POST") =>
    fetch(harness.url + path, { method, headers, ...(method === "POST" && { body: new Uint8Array(5) }) });

  test("WR12 another content type: 415, with those that are served", async () => {
    for (const contentType of [
      "text/plain",
      "application/json",
      "application/proto",
      "application/grpc-web-text+json",
    ]) {
      const response = await post(sessionPath, { "content-type": contentType });
      assert.equal(response.status, 415);
      assert.equal(
        response.headers.get("accept-post"),
        "application/connect+proto, application/connect+json, application/grpc-web+proto, application/grpc-web+json, application/grpc-web-text+proto",
      );
      assert.equal((await response.json()).code, "unimplemented");
    }
  });

  test("WR12 another verb: 405, with the one that is allowed", async () => {
    for (const method of ["GET", "PUT", "DELETE"]) {
      const response = await post(sessionPath, { "content-type": "application/connect+proto" }, method);
      assert.deepEqual([response.status, response.headers.get("allow")], [405, "POST"]);
    }
    const unary = await post("/codereview.v1.CodeReviewService/Publish", {}, "GET");
    assert.deepEqual([unary.status, unary.headers.get("allow")], [405, "POST"]);
  });

  test("WR12 another path: 404, in the protocol's own form", async () => {
    const connect = await post("/codereview.v1.CodeReviewService/Nothing", {
      "content-type": "application/connect+proto",
    });
    assert.equal(connect.status, 404);
    assert.equal((await connect.json()).code, "unimplemented");
    const grpcWeb = await post("/codereview.v1.CodeReviewService/Nothing", {
      "content-type": "application/grpc-web+proto",
    });
    assert.deepEqual([grpcWeb.status, grpcWeb.headers.get("grpc-status")], [404, "12"]);
  });

  test("WR13 native gRPC gets a status in the headers, on every path, and no message", async () => {
    for (const path of [
      sessionPath,
      "/codereview.v1.CodeReviewService/Publish",
      "/codereview.v1.CodeReviewService/Nothing",
    ]) {
      for (const contentType of ["application/grpc", "application/grpc+proto"]) {
        const response = await post(path, { "content-type": contentType });
        assert.equal(response.status, 200);
        assert.equal(response.headers.get("content-type"), contentType);
        assert.equal(response.headers.get("grpc-status"), "12");
        assert.match(
          decodeURIComponent(response.headers.get("grpc-message") ?? ""),
          /native gRPC is served over HTTP\/2 on the gRPC port of a relay that has one/,
        );
        assert.equal((await response.arrayBuffer()).byteLength, 0);
      }
    }
  });

  // Where the listener has trailers, native gRPC is served over HTTP/2.
  const unlessTrailers = { skip: listenerHere !== "Bun.serve" };
  test("WR13 over HTTP/2 the headers of that status end the stream (Bun.serve)", unlessTrailers, async () => {
    const { stream, closed, connection } = openH2(harness.url, { "content-type": "application/grpc" });
    const flags = new Promise<number>((resolve) => stream.on("response", (_, bits) => resolve(bits)));
    stream.end();
    assert.equal((await flags) & 1, 1);
    stream.resume();
    await closed;
    connection.close();
  });

  const encodings = {
    "application/connect+proto": "connect-content-encoding",
    "application/grpc-web+proto": "grpc-encoding",
  };
  for (const [contentType, header] of Object.entries(encodings)) {
    test(`WR14 an encoding other than gzip and identity is refused unimplemented: ${header}`, async () => {
      const brotli = endOf(
        await callOnce(harness.url, new Uint8Array(5), { "content-type": contentType, [header]: "br" }),
      );
      assert.deepEqual(namesOf(brotli), { code: "Unimplemented", reason: "PROTOCOL_UNSUPPORTED" });
      assert.match(brotli?.rawMessage ?? "", /supported encodings: gzip, identity$/);
      const identity = { "content-type": contentType, [header]: "identity" };
      assert.equal(endOf(await callOnce(harness.url, new Uint8Array(5), identity)), undefined);
    });
  }

  for (const [header, values] of Object.entries({
    "connect-timeout-ms": ["", "-1", "1.5", "12345678901", "1s", "swordfish"],
    "grpc-timeout": ["", "1", "-1S", "123456789S", "1s", "swordfish"],
  })) {
    test(`WR15 a ${header} that is none ends the stream with invalid_argument`, async () => {
      const contentType = header === "grpc-timeout" ? "application/grpc-web+proto" : "application/connect+proto";
      for (const value of values) {
        const headers = { "content-type": contentType, [header]: value };
        const end = endOf(await callOnce(harness.url, new Uint8Array(5), headers));
        assert.deepEqual(namesOf(end), { code: "InvalidArgument", reason: "MALFORMED" }, value);
        assert.ok(!end?.message.includes("swordfish"));
      }
    });
  }
});
