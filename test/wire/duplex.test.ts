import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createMethodUrl } from "@connectrpc/connect/protocol";
import * as nodeTransport from "@connectrpc/connect-node";
import * as webTransport from "@connectrpc/connect-web";
import {
  CodeReviewService,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { createHandlerEndpoints } from "../../src/relay/wire/handlers.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { customMessage, type Harness, maxMessageBytes, startHarness, typeOf } from "./harness.ts";
import { callOnce, endOf, namesOf, openH1, openH2, readText, splitFrames } from "./raw.ts";

let harness: Harness;
before(async () => {
  harness = await startHarness();
});
after(() => harness.stop());

/** Sends the next message only when the one before has come back: nothing but full duplex gets to the end of it. */
async function pingPong(transport: Transport, rounds: number): Promise<string[]> {
  const client = createClient(CodeReviewService, transport);
  const next: ((message: SessionMessage | undefined) => void)[] = [];
  async function* messages() {
    for (;;) {
      const message = await new Promise<SessionMessage | undefined>((resolve) => next.push(resolve));
      if (message === undefined) return;
      yield message;
    }
  }
  const got: string[] = [];
  for await (const message of client.collaborativeSession(messages())) {
    got.push(typeOf(message));
    const round = got.length - 1;
    next.shift()?.(round < rounds ? customMessage(`round ${round}`) : undefined);
  }
  return got;
}

describe("bidi, full duplex", () => {
  for (const httpVersion of ["2", "1.1"] as const) {
    for (const useBinaryFormat of [true, false]) {
      const form = useBinaryFormat ? "binary" : "JSON";
      test(`WR8 Connect ${form} over HTTP/${httpVersion}`, async () => {
        const transport = nodeTransport.createConnectTransport({ baseUrl: harness.url, httpVersion, useBinaryFormat });
        assert.deepEqual(await pingPong(transport, 3), ["heartbeat", "round 0", "round 1", "round 2"]);
        assert.equal(harness.calls.at(-1)?.call.protocol, "connect");
        assert.equal(harness.calls.at(-1)?.call.outlet.form, useBinaryFormat ? "binary" : "json");
      });
      test(`WR8 gRPC-Web ${form} over HTTP/${httpVersion}`, async () => {
        const transport = nodeTransport.createGrpcWebTransport({ baseUrl: harness.url, httpVersion, useBinaryFormat });
        assert.deepEqual(await pingPong(transport, 3), ["heartbeat", "round 0", "round 1", "round 2"]);
        assert.equal(harness.calls.at(-1)?.call.protocol, "grpc-web");
      });
    }
  }
});

describe("server-streaming", () => {
  const transports = {
    "connect-web, Connect": (baseUrl: string) => webTransport.createConnectTransport({ baseUrl }),
    "connect-web, Connect binary": (baseUrl: string) =>
      webTransport.createConnectTransport({ baseUrl, useBinaryFormat: true }),
    "connect-web, gRPC-Web": (baseUrl: string) => webTransport.createGrpcWebTransport({ baseUrl }),
    "connect-node, Connect, HTTP/2": (baseUrl: string) =>
      nodeTransport.createConnectTransport({ baseUrl, httpVersion: "2" }),
  };
  for (const [title, createTransport] of Object.entries(transports)) {
    test(`WR9 one request, its answers, an end: ${title}`, async () => {
      const client = createClient(CodeReviewService, createTransport(harness.url));
      const got: string[] = [];
      for await (const message of client.subscribe({ sessionId: "demo" })) got.push(typeOf(message));
      assert.deepEqual(got, ["1", "2", "demo"]);
    });
  }

  for (const count of [0, 2]) {
    test(`WR9 a call with ${count} messages is MALFORMED`, async () => {
      const body = Buffer.concat(new Array(count).fill(new Uint8Array(5)));
      const response = await fetch(`${harness.url}/codereview.v1.CodeReviewService/Subscribe`, {
        method: "POST",
        headers: { "content-type": "application/connect+proto" },
        body,
      });
      const end = endOf(new Uint8Array(await response.arrayBuffer()));
      assert.deepEqual(namesOf(end), { code: "InvalidArgument", reason: "MALFORMED" });
    });
  }
});

describe("how messages come", () => {
  const frames = ["a", "b", "c"].map((type) => encodeFrame(SessionMessageSchema, customMessage(type), "binary"));
  const typesIn = (bytes: Uint8Array) => splitFrames(bytes).length;

  test("WR2 three frames in one write are three messages", async () => {
    const bytes = await callOnce(harness.url, Buffer.concat(frames));
    assert.equal(endOf(bytes), undefined);
    assert.deepEqual(
      splitFrames(bytes)
        .slice(1, -1)
        .map(({ data }) => Buffer.from(data)),
      frames.map((frame) => Buffer.from(frame.subarray(5))),
    );
  });

  test("WR2 frames in pieces of one byte, each a DATA frame of its own, over HTTP/2", async () => {
    const { stream, closed, collect, received, connection } = openH2(harness.url);
    collect();
    for (const byte of Buffer.concat(frames)) {
      await new Promise((resolve) => stream.write(Uint8Array.of(byte), resolve));
    }
    stream.end();
    await closed;
    connection.close();
    assert.equal(endOf(received()), undefined);
    assert.equal(typesIn(received()), 5);
  });

  test("WR2 frames in pieces of one byte, each a chunk of its own, over HTTP/1.1", async () => {
    const called = harness.nextCall();
    const { socket, send } = openH1(harness.port);
    let response = "";
    const echoed = new Promise<void>((resolve) => {
      socket.on("data", (chunk) => {
        response += chunk.toString("latin1");
        if (response.includes("0\r\n\r\n")) resolve();
      });
    });
    socket.setNoDelay(true);
    for (const byte of Buffer.concat(frames)) send(Uint8Array.of(byte));
    socket.write("0\r\n\r\n");
    await echoed;
    socket.destroy();
    assert.equal(await (await called).handled, undefined);
    for (const type of ["a", "b", "c"]) assert.ok(response.includes(`\x01${type}`));
  });
});

describe("the limit of a message", () => {
  /** A frame whose message has exactly this many bytes. */
  function frameOf(bytes: number): Uint8Array<ArrayBuffer> {
    for (let size = bytes - 16; size <= bytes; size++) {
      const frame = encodeFrame(SessionMessageSchema, customMessage("x", new Uint8Array(size)), "binary");
      if (frame.length === bytes + 5) return new Uint8Array(frame);
    }
    throw new Error("no such size");
  }

  test("WR3 a message of the limit passes", async () => {
    const bytes = await callOnce(harness.url, frameOf(maxMessageBytes));
    assert.equal(endOf(bytes), undefined);
    assert.equal(splitFrames(bytes)[1]?.data.length, maxMessageBytes);
  });

  test("WR3 one byte more ends the stream with MESSAGE_TOO_LARGE", async () => {
    const end = endOf(await callOnce(harness.url, frameOf(maxMessageBytes + 1)));
    assert.deepEqual(namesOf(end), { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
  });

  test("WR3 a prefix that promises 4 GiB less one is refused although nothing follows", async () => {
    const { stream, closed, collect, received, connection } = openH2(harness.url);
    collect();
    stream.write(Uint8Array.of(0, 255, 255, 255, 255));
    await closed;
    connection.close();
    assert.deepEqual(namesOf(endOf(received())), { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
  });

  const malformed: Record<string, number[]> = {
    "WR4 a message with the end flag of Connect": [2, 0, 0, 0, 2, 0x7b, 0x7d],
    "WR4 a message behind an end of Connect": [2, 0, 0, 0, 2, 0x7b, 0x7d, 0, 0, 0, 0, 0],
    "WR4 a second end of Connect": [2, 0, 0, 0, 2, 0x7b, 0x7d, 2, 0, 0, 0, 2, 0x7b, 0x7d],
    "WR4 a message with the trailer flag of gRPC-Web": [128, 0, 0, 0, 0],
    "WR4 a message behind trailers of gRPC-Web": [128, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    "WR4 a message that is compressed and ends the stream": [3, 0, 0, 0, 0],
    "WR4 a message with a flag that nobody has named": [0x40, 0, 0, 0, 0],
    "WR5 bytes that are no message": [0, 0, 0, 0, 2, 0x0a, 9],
    "WR7 a body that ends within a message": [0, 0, 0, 0, 9, 1],
    "WR7 a body that ends within a prefix": [0, 0],
  };
  for (const [title, bytes] of Object.entries(malformed)) {
    for (const contentType of ["application/connect+proto", "application/grpc-web+proto"]) {
      test(`${title} is MALFORMED: ${contentType}`, async () => {
        const answer = await callOnce(harness.url, Uint8Array.from(bytes), { "content-type": contentType });
        assert.deepEqual(namesOf(endOf(answer)), { code: "InvalidArgument", reason: "MALFORMED" });
      });
    }
  }

  test("WR5 one JSON message that is none ends a JSON stream with MALFORMED", async () => {
    const answer = await callOnce(harness.url, Uint8Array.of(0, 0, 0, 0, 1, 0x7b), {
      "content-type": "application/connect+json",
    });
    assert.deepEqual(namesOf(endOf(answer)), { code: "InvalidArgument", reason: "MALFORMED" });
  });
});

describe("unary", () => {
  const transports = {
    "Connect JSON": (baseUrl: string) => webTransport.createConnectTransport({ baseUrl }),
    "Connect binary": (baseUrl: string) => webTransport.createConnectTransport({ baseUrl, useBinaryFormat: true }),
    "gRPC-Web": (baseUrl: string) => webTransport.createGrpcWebTransport({ baseUrl }),
    "Connect, HTTP/2": (baseUrl: string) => nodeTransport.createConnectTransport({ baseUrl, httpVersion: "2" }),
    "gRPC-Web, HTTP/2": (baseUrl: string) => nodeTransport.createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  };
  for (const [title, createTransport] of Object.entries(transports)) {
    test(`WR21 a call and its answer: ${title}`, async () => {
      const client = createClient(CodeReviewService, createTransport(harness.url));
      const { replies } = await client.publish({ messages: [customMessage("hello")] });
      assert.deepEqual(replies.map(typeOf), ["hello"]);
    });

    test(`WR21 a message that is too large is MESSAGE_TOO_LARGE: ${title}`, async () => {
      const client = createClient(CodeReviewService, createTransport(harness.url));
      const large = client.publish({ messages: [customMessage("hello", new Uint8Array(maxMessageBytes))] });
      const error = await large.then(() => undefined, ConnectError.from);
      assert.deepEqual(namesOf(error), { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
    });

    test(`WR21 errors keep their reason, those of others only a stream id: ${title}`, async () => {
      const failing = await startHarness({
        register: (router) =>
          router.rpc(CodeReviewService.method.publish, ({ sessionId }) => {
            throw sessionId === "ours"
              ? new BatonError("RATE_LIMITED", undefined, { retryAfterMs: 7 })
              : new Error("secret");
          }),
      });
      try {
        const client = createClient(CodeReviewService, createTransport(failing.url));
        const ours = await client.publish({ sessionId: "ours" }).then(() => undefined, ConnectError.from);
        assert.deepEqual(namesOf(ours), { code: "ResourceExhausted", reason: "RATE_LIMITED" });
        assert.equal(failing.reported.length, 0);
        const other = await client.publish({}).then(() => undefined, ConnectError.from);
        assert.deepEqual(namesOf(other), { code: "Internal", reason: "INTERNAL" });
        assert.equal(other?.rawMessage, `internal error; stream ${failing.reported[0]?.streamId}`);
      } finally {
        await failing.stop();
      }
    });

    test(`WR21 the deadline ends a call whose implementation lets it pass: ${title}`, async () => {
      const hanging = await startHarness({
        register: (router) => router.rpc(CodeReviewService.method.publish, () => new Promise(() => {})),
      });
      try {
        const client = createClient(CodeReviewService, createTransport(hanging.url));
        const error = await client.publish({}, { timeoutMs: 100 }).then(() => undefined, ConnectError.from);
        assert.equal(error?.code, Code.DeadlineExceeded);
      } finally {
        await hanging.stop();
      }
    });
  }

  const watch = createMethodUrl("/", Health.method.watch);
  const publish = createMethodUrl("/", CodeReviewService.method.publish);
  for (const [path, contentType] of [
    [publish, "application/json"],
    [publish, "application/grpc-web+proto"],
    [publish, "application/grpc-web-text"],
    [watch, "application/connect+proto"],
  ] as const) {
    test(`WR24 a request that does not come whole ends in time: ${path} ${contentType}`, async () => {
      const brisk = await startHarness({
        limits: { firstMessageMs: 200 },
        register: (router) =>
          router.service(Health, { async *watch() {} }).rpc(CodeReviewService.method.publish, () => ({})),
      });
      const { stream, connection, collect, received } = openH2(brisk.url, {
        ":path": path,
        "content-type": contentType,
      });
      collect();
      stream.write(contentType === "application/json" ? "{" : contentType.endsWith("text") ? "AAAA" : "\0\0\0");
      await once(stream, "end");
      const said = new TextDecoder().decode(received());
      if (contentType === "application/json") {
        assert.match(said, /"reason":"FIRST_MESSAGE_TIMEOUT"/);
      } else {
        const bytes = contentType.endsWith("text") ? readText(said) : received();
        assert.deepEqual(namesOf(endOf(bytes)), { code: "DeadlineExceeded", reason: "FIRST_MESSAGE_TIMEOUT" });
      }
      assert.deepEqual(brisk.reported, []);
      connection.destroy();
      await brisk.stop();
    });
  }

  for (const contentType of ["application/json", "application/grpc-web+proto", "application/grpc-web-text"]) {
    test(`WR17 nothing is reported where the peer goes within its request: ${contentType}`, async () => {
      const reported: unknown[] = [];
      const [endpoint] = createHandlerEndpoints((router) => router.rpc(CodeReviewService.method.publish, () => ({})), {
        maxMessageBytes,
        firstMessageMs: 10_000,
        report: (_streamId, error) => void reported.push(error),
      });
      const begun = contentType === "application/grpc-web+proto" ? "\0\0\0" : "AAAA";
      const body = new ReadableStream({
        start: (controller) => controller.enqueue(new TextEncoder().encode(begun)),
        pull: (controller) => controller.error(new Error("the body broke off")),
      });
      const headers = { "content-type": contentType };
      const init = { method: "POST", headers, body, duplex: "half" };
      const request = new Request(`http://test${publish}`, init);
      const context = { streamId: "s", openBody: () => assert.fail("it has a body of its own") };
      const response = await endpoint?.handle(request, context);
      assert.ok(response !== undefined);
      await response.arrayBuffer();
      assert.deepEqual(reported, []);
    });
  }

  for (const contentType of ["application/json", "application/proto", "application/grpc-web+proto"]) {
    test(`WR21 what cannot be decoded is MALFORMED, without its content: ${contentType}`, async () => {
      const isGrpcWeb = contentType.startsWith("application/grpc");
      const text = '\n\xff{"timestamp": "swordfish"}';
      const response = await fetch(`${harness.url}/codereview.v1.CodeReviewService/Publish`, {
        method: "POST",
        headers: { "content-type": contentType },
        body: isGrpcWeb ? `\0\0\0\0${String.fromCharCode(text.length + 1)}${text}` : text,
      });
      const answer = await response.text();
      assert.equal(response.status, isGrpcWeb ? 200 : 400);
      assert.ok(!answer.includes("swordfish"));
      assert.ok(isGrpcWeb ? answer.includes("grpc-status: 3") : answer.includes("MALFORMED"));
    });
  }
});
