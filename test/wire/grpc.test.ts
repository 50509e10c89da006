import assert from "node:assert/strict";
import http2 from "node:http2";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { type CallOptions, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { type Client, status } from "@grpc/grpc-js";
import {
  CodeReviewService,
  Fault_Action,
  PublishRequestSchema,
  SessionMessageSchema,
  SubscribeRequestSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { BatonError, type Reason, reasons } from "../../src/session/reasons.ts";
import { callGrpcUnary, type GrpcCallOptions, openGrpcClient, openGrpcStream } from "../support/grpc-js.ts";
import { openBareH2 } from "./bare-h2.ts";
import {
  customMessage,
  type Harness,
  type HarnessOptions,
  heartbeat,
  maxMessageBytes,
  startHarness,
  typeOf,
} from "./harness.ts";
import { namesOf, openH2, sessionPath } from "./raw.ts";

const { collaborativeSession, subscribe, publish, readLog } = CodeReviewService.method;
const allReasons = Object.keys(reasons).filter((name): name is Reason => Object.hasOwn(reasons, name));

const running: Harness[] = [];
const clients: Client[] = [];
async function start(options: HarnessOptions = {}): Promise<Harness> {
  const harness = await startHarness({ listener: "node:http2", ...options });
  running.push(harness);
  return harness;
}
function open({ url }: Harness): Client {
  const client = openGrpcClient(url);
  clients.push(client);
  return client;
}
const openSession = (harness: Harness, options?: GrpcCallOptions) =>
  openGrpcStream(open(harness), collaborativeSession, options);

let echoing: Harness;
before(async () => {
  echoing = await start();
});
after(async () => {
  for (const client of clients) client.close();
  await Promise.all(running.map((harness) => harness.stop()));
});

/** One HTTP/2 request with exactly these headers and bytes, to its end. */
async function callBare(url: string, headers: http2.OutgoingHttpHeaders, bytes?: Uint8Array) {
  const connection = http2.connect(url);
  const stream = connection.request({ ":method": "POST", ":path": sessionPath, ...headers }, { endStream: false });
  const seen: { headers?: http2.IncomingHttpHeaders; endedByHeaders?: boolean; trailers?: http2.IncomingHttpHeaders } =
    {};
  const chunks: Buffer[] = [];
  stream.on("response", (fields, flags) => {
    seen.headers = fields;
    seen.endedByHeaders = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
  });
  stream.on("trailers", (fields) => {
    seen.trailers = fields;
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise((resolve) => stream.on("close", resolve));
  stream.end(bytes);
  await closed;
  connection.destroy();
  return { ...seen, body: Buffer.concat(chunks) };
}

describe("native gRPC, streams", () => {
  for (const useBinaryFormat of [true, false]) {
    const form = useBinaryFormat ? "binary" : "json";
    test(`GR1 connect-node holds a stream both ways: ${form}`, async () => {
      const transport: Transport = createGrpcTransport({ baseUrl: echoing.url, useBinaryFormat });
      const next = Promise.withResolvers<void>();
      async function* messages() {
        yield customMessage("a");
        await next.promise;
        yield customMessage("b");
      }
      const got: string[] = [];
      for await (const message of createClient(CodeReviewService, transport).collaborativeSession(messages())) {
        got.push(typeOf(message));
        if (got.at(-1) === "a") next.resolve();
      }
      assert.deepEqual(got, ["heartbeat", "a", "b"]);
      const { call } = echoing.calls.at(-1) ?? assert.fail();
      assert.deepEqual([call.protocol, call.outlet.form], ["grpc", form]);
    });
  }

  test("GR1 grpc-js holds a stream both ways, and half-closes it", async () => {
    const { send, take, call, ended } = openSession(echoing);
    assert.equal(typeOf(await take()), "heartbeat");
    for (const type of ["a", "b", "c"]) {
      send(customMessage(type));
      assert.equal(typeOf(await take()), type);
    }
    call.end();
    assert.deepEqual(await ended, { code: status.OK, details: "", fault: undefined });
  });

  test("GR1 a server-streaming method", async () => {
    const { call, send, take, ended } = openGrpcStream(open(echoing), subscribe);
    send(create(SubscribeRequestSchema, { sessionId: "demo" }));
    call.end();
    assert.deepEqual([typeOf(await take()), typeOf(await take()), typeOf(await take())], ["1", "2", "demo"]);
    assert.equal((await ended).code, status.OK);
  });

  test("GR2 every reason arrives with its code, its text and its Fault, behind a message and without one", async () => {
    let reason: Reason = "DRAIN";
    let speaks = false;
    const harness = await start({
      session: async ({ outlet }) => {
        if (speaks) await outlet.write(encodeFrame(SessionMessageSchema, heartbeat, "binary"));
        outlet.end(new BatonError(reason, undefined, { retryAfterMs: 5 }));
      },
    });
    const client = open(harness);
    for (speaks of [true, false]) {
      for (reason of allReasons) {
        const { code, details, fault } = await openGrpcStream(client, collaborativeSession).ended;
        const expected = new BatonError(reason);
        assert.equal(status[code], expected.code.toUpperCase(), reason);
        assert.equal(details, expected.message);
        assert.deepEqual(
          [fault?.code, fault?.reason, fault?.message, fault?.action, fault?.retryAfterMs],
          [expected.code, reason, expected.message, expected.action, 5n],
        );
      }
    }
  });

  test("GR2 an end without a message is one block of headers", async () => {
    const harness = await start({ session: async ({ outlet }) => outlet.end(new BatonError("DRAIN")) });
    const { headers, endedByHeaders, trailers } = await callBare(harness.url, { "content-type": "application/grpc" });
    assert.equal(headers?.[":status"], 200);
    assert.equal(headers?.["content-type"], "application/grpc+proto");
    assert.equal(headers?.["grpc-status"], String(Code.Unavailable));
    assert.equal(endedByHeaders, true);
    assert.equal(trailers, undefined);
  });

  test("GR2 an end behind a message stands in the trailers, and nothing of it in the body", async () => {
    const bytes = encodeFrame(SessionMessageSchema, customMessage("x"), "binary");
    const { headers, trailers, body } = await callBare(echoing.url, { "content-type": "application/grpc" }, bytes);
    assert.equal(headers?.["grpc-status"], undefined);
    assert.equal(trailers?.["grpc-status"], "0");
    assert.deepEqual(body, Buffer.concat([encodeFrame(SessionMessageSchema, heartbeat, "binary"), bytes]));
  });

  test("GR2 an error of others is INTERNAL, and its text is the stream id alone", async () => {
    const harness = await start({ session: () => Promise.reject(new Error("swordfish")) });
    const { code, details, fault } = await openSession(harness).ended;
    assert.deepEqual([code, fault?.reason, fault?.action], [status.INTERNAL, "INTERNAL", Fault_Action.RECONNECT]);
    assert.equal(details, `internal error; stream ${harness.reported[0]?.streamId}`);
  });

  test("GR3 a deadline ends the call DEADLINE for both, whatever the handler does", async () => {
    const harness = await start({ session: () => new Promise(() => {}) });
    const called = harness.nextCall();
    const bare = await callBare(harness.url, { "content-type": "application/grpc", "grpc-timeout": "50m" });
    assert.equal(bare.headers?.["grpc-status"], String(Code.DeadlineExceeded));
    const seen = await called;
    assert.ok(seen.call.signal.reason instanceof BatonError);
    assert.equal(seen.call.signal.reason.reason, "DEADLINE");
    assert.equal(seen.aborts, 1);
    const { code } = await openSession(harness, { deadline: Date.now() + 50 }).ended;
    assert.equal(code, status.DEADLINE_EXCEEDED);
  });

  test("GR3 a grpc-timeout that is none ends the call MALFORMED, in its headers", async () => {
    for (const value of ["1", "-1S", "123456789S", "12345678901m", "1s", "swordfish"]) {
      const { headers, endedByHeaders } = await callBare(echoing.url, {
        "content-type": "application/grpc",
        "grpc-timeout": value,
      });
      assert.deepEqual([headers?.["grpc-status"], endedByHeaders], [String(Code.InvalidArgument), true], value);
      assert.ok(!String(headers?.["grpc-message"]).includes("swordfish"));
    }
  });

  test("GR4 a client that cancels is gone: one abort, and the handler ends", async () => {
    const called = echoing.nextCall();
    const { call, send, take, ended } = openSession(echoing);
    send(customMessage("a"));
    await take(({ payload }) => payload.case === "custom");
    call.cancel();
    assert.equal((await ended).code, status.CANCELLED);
    const seen = await called;
    await seen.handled;
    assert.equal(seen.aborts, 1);
    assert.deepEqual(echoing.reported, []);
  });

  test("GR5 a half-close is no end: what goes out goes on", async () => {
    const goOn = Promise.withResolvers<void>();
    const harness = await start({
      session: async ({ inbound, outlet, signal }) => {
        for await (const _ of inbound);
        await outlet.write(encodeFrame(SessionMessageSchema, customMessage("half"), "binary"));
        await goOn.promise;
        assert.equal(signal.aborted, false);
        await outlet.write(encodeFrame(SessionMessageSchema, customMessage("whole"), "binary"));
      },
    });
    const { call, take, ended } = openSession(harness);
    call.end();
    assert.equal(typeOf(await take()), "half");
    goOn.resolve();
    assert.equal(typeOf(await take()), "whole");
    assert.equal((await ended).code, status.OK);
  });

  const refused: Record<string, { bytes: Uint8Array; code: number; headers?: http2.OutgoingHttpHeaders }> = {
    "a message over the limit": { bytes: Uint8Array.of(0, 0, 1, 0, 1), code: status.RESOURCE_EXHAUSTED },
    "a prefix that promises 4 GiB": { bytes: Uint8Array.of(0, 255, 255, 255, 255), code: status.RESOURCE_EXHAUSTED },
    "bytes that are no message": { bytes: Uint8Array.of(0, 0, 0, 0, 2, 0x0a, 9), code: status.INVALID_ARGUMENT },
    "a body that ends within a message": { bytes: Uint8Array.of(0, 0, 0, 0, 9, 1), code: status.INVALID_ARGUMENT },
    "the compressed flag without an encoding": { bytes: Uint8Array.of(1, 0, 0, 0, 0), code: status.INTERNAL },
    "the trailer flag of gRPC-Web": { bytes: Uint8Array.of(128, 0, 0, 0, 0), code: status.INVALID_ARGUMENT },
    "an encoding that is not served": {
      bytes: new Uint8Array(5),
      code: status.UNIMPLEMENTED,
      headers: { "grpc-encoding": "snappy" },
    },
  };
  for (const [title, { bytes, code, headers }] of Object.entries(refused)) {
    test(`GR6 ${title} ends the call as over the other protocols`, async () => {
      const answer = await callBare(echoing.url, { "content-type": "application/grpc", ...headers }, bytes);
      assert.equal((answer.trailers ?? answer.headers)?.["grpc-status"], String(code));
    });
  }

  test("GR7 an end reaches a client that is still sending, which is then told to stop", async () => {
    const harness = await start({ session: async ({ outlet }) => outlet.end(new BatonError("SESSION_FULL")) });
    const client = open(harness);
    for (let i = 0; i < 100; i++) {
      const { call, ended } = openGrpcStream(client, collaborativeSession);
      call.write(customMessage("more", new Uint8Array(1000)));
      assert.equal((await ended).fault?.reason, "SESSION_FULL");
      assert.equal(call.writableEnded, false);
    }
    // Both halves of the stream are closed: nothing of it is left.
    const { stream, closed, connection } = openH2(harness.url, { "content-type": "application/grpc" });
    stream.resume().write(encodeFrame(SessionMessageSchema, customMessage("more"), "binary"));
    assert.equal(await closed, http2.constants.NGHTTP2_NO_ERROR);
    connection.destroy();
  });
});

describe("native gRPC, a peer that does not read", () => {
  const grpc = { "content-type": "application/grpc" };
  const block = encodeFrame(SessionMessageSchema, customMessage("block", new Uint8Array(16_000)), "binary");
  const hold: HarnessOptions = {
    session: ({ signal }) => new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
  };
  async function fillUp(harness: Harness) {
    const called = harness.nextCall();
    const bare = openBareH2(harness.port, grpc);
    const { call } = await called;
    for (let bytes = 0; bytes < 64 * 1024 * 1024; bytes += block.length) {
      if (call.outlet.write(block) !== undefined) return { ...bare, call, bytes: bytes + block.length };
    }
    throw new Error("64 MiB were written to a peer that reads nothing");
  }

  test("GR8 still gets every message and the trailers, if it reads within the grace", async () => {
    const harness = await start(hold);
    const { call, bytes, openWindow, closed, received, socket, headerBlocks } = await fillUp(harness);
    call.outlet.end(new BatonError("SLOW_CONSUMER"));
    openWindow();
    assert.equal(await closed, "end");
    assert.equal(received().length, bytes);
    assert.equal(headerBlocks(), 2);
    socket.destroy();
  });

  test("GR8 is reset when the grace is over", async () => {
    const harness = await start({ ...hold, endGraceMs: 50 });
    const { call, closed, socket } = await fillUp(harness);
    call.outlet.end(new BatonError("SLOW_CONSUMER"));
    assert.equal(await closed, http2.constants.NGHTTP2_INTERNAL_ERROR);
    socket.destroy();
  });
});

describe("native gRPC, what is no call", () => {
  test("GR9 a method that is not there is unimplemented", async () => {
    const path = "/codereview.v1.CodeReviewService/Nothing";
    const { headers, endedByHeaders } = await callBare(echoing.url, {
      ":path": path,
      "content-type": "application/grpc",
    });
    assert.deepEqual([headers?.[":status"], headers?.["grpc-status"], endedByHeaders], [200, "12", true]);
  });

  test("GR9 another verb: 405; an encoding of gRPC that is not served: 415, with those that are", async () => {
    const verb = await callBare(echoing.url, { ":method": "PUT", "content-type": "application/grpc" });
    assert.deepEqual([verb.headers?.[":status"], verb.headers?.allow], [405, "POST"]);
    for (const path of [sessionPath, "/codereview.v1.CodeReviewService/Publish"]) {
      const thrift = await callBare(echoing.url, { ":path": path, "content-type": "application/grpc+thrift" });
      assert.deepEqual([thrift.headers?.[":status"], thrift.headers?.["grpc-status"]], [415, "12"]);
      assert.match(String(thrift.headers?.["accept-post"]), /application\/grpc\+proto, application\/grpc\+json$/);
    }
  });
});

/** An implementation that is over, fails, or stays quiet, behind its first message. */
async function* watch({ sessionId }: { readonly sessionId: string }) {
  // No int64.
  if (sessionId === "unencodable") yield create(SessionMessageSchema, { timestamp: 2n ** 70n });
  yield customMessage("first");
  if (sessionId === "ours") throw new BatonError("SESSION_NOT_FOUND");
  if (sessionId === "bug") throw new Error("swordfish");
  if (sessionId === "quiet") await new Promise(() => {});
  yield customMessage("last");
}

const handlerTransports = {
  gRPC: (baseUrl: string): Transport => createGrpcTransport({ baseUrl }),
  "gRPC-Web": (baseUrl: string): Transport => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  Connect: (baseUrl: string): Transport => createConnectTransport({ baseUrl, httpVersion: "2" }),
};

describe("native gRPC, through connect-es", () => {
  test("GR10 a unary call and its answer", async () => {
    const request = create(PublishRequestSchema, { messages: [customMessage("hello")] });
    const { answer, end } = await callGrpcUnary(open(echoing), publish, request);
    assert.deepEqual(answer?.replies.map(typeOf), ["hello"]);
    assert.equal(end.code, status.OK);
    const transport = createGrpcTransport({ baseUrl: echoing.url });
    const { replies } = await createClient(CodeReviewService, transport).publish(request);
    assert.deepEqual(replies.map(typeOf), ["hello"]);
  });

  test("GR10 its errors are in our words: too large, undecodable, late, ours, of others", async () => {
    const request = create(PublishRequestSchema, { messages: [customMessage("x", new Uint8Array(maxMessageBytes))] });
    const large = await callGrpcUnary(open(echoing), publish, request);
    assert.deepEqual([large.end.code, large.end.fault?.reason], [status.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"]);

    const publishPath = "/codereview.v1.CodeReviewService/Publish";
    const bytes = Buffer.from("\0\0\0\0\x0cxswordfish!!");
    const malformed = await callBare(echoing.url, { ":path": publishPath, "content-type": "application/grpc" }, bytes);
    const malformedEnd = malformed.trailers ?? malformed.headers;
    assert.equal(malformedEnd?.["grpc-status"], String(Code.InvalidArgument));
    assert.ok(malformedEnd?.["grpc-status-details-bin"] !== undefined);
    assert.ok(!JSON.stringify(malformed).includes("swordfish"));

    const failing = await start({
      register: (router) =>
        router.rpc(publish, ({ sessionId }) => {
          if (sessionId === "late") return new Promise(() => {});
          throw sessionId === "ours"
            ? new BatonError("RATE_LIMITED", undefined, { retryAfterMs: 7 })
            : new Error("secret");
        }),
    });
    const client = open(failing);
    const call = (sessionId: string, options?: GrpcCallOptions) =>
      callGrpcUnary(client, publish, create(PublishRequestSchema, { sessionId }), options);
    const ours = (await call("ours")).end;
    assert.deepEqual(
      [ours.code, ours.fault?.reason, ours.fault?.retryAfterMs],
      [status.RESOURCE_EXHAUSTED, "RATE_LIMITED", 7n],
    );
    assert.equal(failing.reported.length, 0);
    const others = (await call("others")).end;
    assert.deepEqual(
      [others.code, others.details],
      [status.INTERNAL, `internal error; stream ${failing.reported[0]?.streamId}`],
    );
    const late = (await call("late", { headers: { "grpc-timeout": "50m" } })).end;
    assert.deepEqual([late.code, late.fault?.reason], [status.DEADLINE_EXCEEDED, "DEADLINE"]);
    const over = (await call("late", { headers: { "grpc-timeout": "0m" } })).end;
    assert.deepEqual([over.code, over.fault?.reason], [status.DEADLINE_EXCEEDED, "DEADLINE"]);
  });

  for (const [title, createTransport] of Object.entries(handlerTransports)) {
    test(`GR11 a streaming implementation: its messages, its errors, its deadline: ${title}`, async () => {
      const harness = await start({ register: (router) => router.rpc(readLog, watch) });
      const client = createClient(CodeReviewService, createTransport(harness.url));
      const endOf = async (sessionId: string, options?: CallOptions) => {
        const got: string[] = [];
        try {
          for await (const message of client.readLog({ sessionId }, options)) got.push(typeOf(message));
        } catch (error) {
          return { got, end: namesOf(error) };
        }
        return { got, end: undefined };
      };
      assert.deepEqual(await endOf("whole"), { got: ["first", "last"], end: undefined });
      assert.deepEqual(await endOf("ours"), { got: ["first"], end: { code: "NotFound", reason: "SESSION_NOT_FOUND" } });
      assert.equal(harness.reported.length, 0);
      assert.deepEqual(await endOf("bug"), { got: ["first"], end: { code: "Internal", reason: "INTERNAL" } });
      assert.equal(harness.reported.length, 1);
      assert.deepEqual(await endOf("unencodable"), { got: [], end: { code: "Internal", reason: "INTERNAL" } });
      assert.equal(harness.reported.length, 2);
      const late = await endOf("quiet", { timeoutMs: 200 });
      assert.deepEqual(late.got, ["first"]);
      assert.equal(late.end?.code, "DeadlineExceeded");
      const large = await endOf("x".repeat(maxMessageBytes));
      assert.deepEqual(large, { got: [], end: { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" } });
    });

    test(`GR11 a streaming implementation hears that its peer is gone: ${title}`, async () => {
      const aborted = Promise.withResolvers<void>();
      const harness = await start({
        register: (router) =>
          router.rpc(readLog, (request, { signal }) => {
            signal.addEventListener("abort", () => aborted.resolve());
            return watch(request);
          }),
      });
      const client = createClient(CodeReviewService, createTransport(harness.url));
      const abort = new AbortController();
      const read = async () => {
        for await (const _ of client.readLog({ sessionId: "quiet" }, { signal: abort.signal })) abort.abort();
      };
      await assert.rejects(read(), (error) => ConnectError.from(error).code === Code.Canceled);
      await aborted.promise;
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(harness.reported, []);
    });
  }
});
