// Bodies over Node's streams, both ways: what is bounded, and how a peer's going gets through.
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { PassThrough, Writable } from "node:stream";
import { after, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CodeReviewService, ReadLogRequestSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { createHandlerEndpoints } from "../../src/relay/wire/handlers.ts";
import { createSink, readBody } from "../../src/runtime/node-body.ts";
import type { FetchHandler, RunningServer } from "../../src/runtime/server.ts";
import { customMessage, listen, listenerHere } from "./harness.ts";

const running: RunningServer[] = [];
async function serve(fetch: FetchHandler): Promise<number> {
  const server = await listen("node:http2", { fetch });
  running.push(server);
  return Number(new URL(server.url).port);
}
after(() => Promise.all(running.map((server) => server.stop(0))));

const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

describe("a request's body", () => {
  test("LS11 is not taken while nobody reads it, and whole once somebody does", async () => {
    const goOn = Promise.withResolvers<void>();
    const total = 4 * 1024 * 1024;
    const port = await serve(async (request) => {
      await goOn.promise;
      const body = await request.arrayBuffer();
      return new Response(String(body.byteLength));
    });
    const connection = http2.connect(`http://127.0.0.1:${port}`);
    const stream = connection.request({ ":method": "POST", ":path": "/" }, { endStream: false });
    let taken = 0;
    const piece = new Uint8Array(16 * 1024);
    const sent = (async () => {
      while (taken < total) {
        await new Promise((resolve) => stream.write(piece, resolve));
        taken += piece.length;
      }
      stream.end();
    })();
    await settle();
    await settle();
    assert.ok(taken <= 512 * 1024, `${taken} bytes were taken`);
    goOn.resolve();
    await sent;
    const answer = await new Promise((resolve) => stream.on("data", (chunk) => resolve(String(chunk))));
    assert.equal(answer, String(total));
    connection.destroy();
  });

  test("LS11 that breaks off rejects who reads it", async () => {
    for (const event of ["aborted", "error", "close"]) {
      const incoming = new PassThrough();
      const reader = readBody(incoming).getReader();
      incoming.emit(event, new Error("gone"));
      await assert.rejects(reader.read(), /broke off/);
      incoming.destroy();
    }
  });

  test("LS11 that is let go is thrown away, and its end is none", async () => {
    const incoming = new PassThrough();
    const reader = readBody(incoming).getReader();
    await reader.cancel();
    incoming.end(new Uint8Array(1024 * 1024));
    await new Promise((resolve) => incoming.on("end", resolve));
  });
});

async function leaveH1(port: number, request: string): Promise<void> {
  const socket = net.connect(port, "127.0.0.1");
  socket.write(request);
  await new Promise((resolve) => socket.on("data", resolve));
  socket.destroy();
}

describe("a response's body", () => {
  const stuck = () => new Writable({ highWaterMark: 1, write: () => undefined });

  test("LS11 whoever waits for the peer goes on when it is gone, and nothing is written any more", async () => {
    const outgoing = stuck();
    let begun = 0;
    const sink = createSink(outgoing, () => {
      begun += 1;
    });
    const behind = [sink.write(new Uint8Array(5)), sink.write(new Uint8Array(5))];
    assert.ok(behind.every((one) => one !== undefined));
    assert.equal(begun, 1);
    assert.equal(outgoing.listenerCount("drain"), 1);
    outgoing.destroy();
    await Promise.all(behind);
    assert.throws(() => sink.write(new Uint8Array(5)));
  });

  const leave = {
    "HTTP/2": async (port: number) => {
      const connection = http2.connect(`http://127.0.0.1:${port}`);
      const stream = connection.request({ ":path": "/" });
      stream.on("error", () => undefined);
      await new Promise((resolve) => stream.on("data", resolve));
      stream.close(http2.constants.NGHTTP2_CANCEL);
      connection.close();
    },
    "HTTP/1.1": (port: number) => leaveH1(port, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
    "HTTP/1.1, behind a body that was read": (port: number) =>
      leaveH1(port, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"),
  };
  for (const [version, go] of Object.entries(leave)) {
    test(`LS11 of any Response is let go when the peer is gone, and the request's signal aborts: ${version}`, async () => {
      const letGo = Promise.withResolvers<void>();
      const aborted = Promise.withResolvers<void>();
      const port = await serve(async (request) => {
        await request.arrayBuffer();
        request.signal.addEventListener("abort", () => aborted.resolve());
        return new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(new TextEncoder().encode("first")),
            cancel: () => letGo.resolve(),
          }),
        );
      });
      await go(port);
      await Promise.all([letGo.promise, aborted.promise]);
    });

    test(`LS11 of a kept source: it is told that the peer is gone: ${version}`, async () => {
      const told = Promise.withResolvers<void>();
      const port = await serve(async (request, { openBody }) => {
        await request.arrayBuffer();
        return new Response(
          openBody({
            async run(sink) {
              await sink.write(new TextEncoder().encode("first"));
              await told.promise;
              return "complete";
            },
            gone: () => told.resolve(),
          }),
        );
      });
      await go(port);
      await told.promise;
    });
  }

  test("LS11 a handler that rejects is answered 500, without a word", async () => {
    const port = await serve(() => Promise.reject(new Error("swordfish")));
    const response = await fetch(`http://127.0.0.1:${port}/`);
    assert.deepEqual([response.status, await response.text()], [500, ""]);
  });
});

describe("a stop", () => {
  for (const version of ["2", "1.1"] as const) {
    test(`WR23 does not wait for a connection without calls: HTTP/${version}`, async () => {
      const server = await listen(listenerHere, { fetch: () => new Response("here") });
      const { port } = new URL(server.url);
      const closed = Promise.withResolvers<void>();
      if (version === "2") {
        const connection = http2.connect(server.url);
        connection.on("close", () => closed.resolve());
        const stream = connection.request({ ":path": "/" });
        await new Promise((resolve) => stream.on("close", resolve).resume());
      } else {
        const socket = net.connect(Number(port), "127.0.0.1");
        socket.on("close", () => closed.resolve());
        socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        await new Promise((resolve) => socket.on("data", resolve));
      }
      await server.stop(600_000);
      await closed.promise;
    });
  }
});

test("GR11 a streaming implementation hears that its body was let go, where no other sign tells", async () => {
  const aborted = Promise.withResolvers<void>();
  const [endpoint] = createHandlerEndpoints(
    (router) =>
      router.rpc(CodeReviewService.method.readLog, async function* (_, { signal }) {
        signal.addEventListener("abort", () => aborted.resolve());
        yield customMessage("first");
        await new Promise(() => {});
      }),
    { maxMessageBytes: 1024, firstMessageMs: 10_000, report: assert.fail },
  );
  assert.ok(endpoint !== undefined);
  const request = new Request("http://test/", {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto" },
    body: new Uint8Array(encodeFrame(ReadLogRequestSchema, create(ReadLogRequestSchema), "binary")),
  });
  const response = await endpoint.handle(request, { streamId: "test", openBody: () => null });
  const reader = response.body?.getReader();
  assert.equal((await reader?.read())?.done, false);
  await reader?.cancel();
  await aborted.promise;
});
