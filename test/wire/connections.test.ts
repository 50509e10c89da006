// What a connection and a call may cost before anything is done for them: headers, time, and what five bytes promise.
import assert from "node:assert/strict";
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { after, describe, test } from "node:test";
import { CodeReviewService, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { withPromptBody } from "../../src/relay/wire/handler-patience.ts";
import { customMessage, type Harness, type HarnessOptions, listenerHere, startHarness } from "./harness.ts";
import { openH2, sessionPath } from "./raw.ts";

const running: Harness[] = [];
async function start(options: HarnessOptions = {}): Promise<Harness> {
  const harness = await startHarness(options);
  running.push(harness);
  return harness;
}
after(() => Promise.all(running.map((harness) => harness.stop())));

const frame = new Uint8Array(encodeFrame(SessionMessageSchema, customMessage("x"), "binary"));
const publishPath = "/codereview.v1.CodeReviewService/Publish";

/** A raw connection, and what comes on it until it is closed. */
function connectRaw(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  let said = "";
  socket
    .on("error", () => undefined)
    .on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
  return {
    socket,
    said: () => said,
    closed: new Promise<void>((resolve) => socket.once("close", () => resolve())),
    async hears(text: string) {
      while (!said.includes(text) && !socket.destroyed)
        await Promise.race([once(socket, "data"), once(socket, "close")]);
      return said;
    },
  };
}

/** An HTTP/2 connection on which no stream is open. */
function connectH2(url: string) {
  const connection = http2.connect(url);
  connection.on("error", () => undefined);
  return { connection, closed: new Promise<void>((resolve) => connection.once("close", () => resolve())) };
}

describe("headers", () => {
  test("LM12 headers over the limit are answered 431 or reset, and nothing is called: HTTP/2", async () => {
    const small = await start({ limits: { headerBytes: 2048 } });
    const statusOf = async (padding: number) => {
      const { stream, connection } = openH2(small.url, { padding: "x".repeat(padding) });
      stream.end(frame);
      const status = await new Promise<string>((resolve) => {
        stream.on("response", (headers) => resolve(String(headers[":status"])));
        stream.on("close", () => resolve(`reset ${stream.rstCode}`));
      });
      connection.destroy();
      return status;
    };
    assert.match(await statusOf(2048), /^431$|^reset 11$/);
    assert.equal(small.calls.length, 0);
    assert.equal(await statusOf(1500), "200");
  });

  test("LM12 headers over the limit are answered 431, and nothing is called: HTTP/1.1", async () => {
    const small = await start({ limits: { headerBytes: 2048 } });
    const statusOf = async (padding: number) => {
      const headers = { "content-type": "application/connect+proto", padding: "x".repeat(padding) };
      const response = await fetch(small.url + sessionPath, { method: "POST", headers, body: frame });
      await response.arrayBuffer();
      return response.status;
    };
    assert.equal(await statusOf(2048), 431);
    assert.equal(small.calls.length, 0);
    assert.equal(await statusOf(1200), 200);
  });

  test("LM12 headers over 16 KiB are answered 431, and nothing is called, whatever is configured", async () => {
    const { url, calls } = await start();
    const headers = { "content-type": "application/connect+proto", padding: "x".repeat(17_000) };
    const response = await fetch(url + sessionPath, { method: "POST", headers, body: frame });
    await response.arrayBuffer();
    assert.equal(response.status, 431);
    assert.equal(calls.length, 0);
  });
});

describe("connections", () => {
  test("LM13 a connection on which no stream is open is closed, and one with a quiet stream is not", async () => {
    const harness = await start({ limits: { connectionIdleMs: 1000 } });
    const called = harness.nextCall();
    const quiet = openH2(harness.url);
    quiet.collect();
    quiet.stream.write(frame);
    const { call } = await called;
    const quietClosed = once(quiet.connection, "close");
    const h1 = connectRaw(harness.port);
    h1.socket.write("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    // Twice: by the end of the second the quiet stream has been quiet for longer than any of them.
    for (let round = 0; round < 2; round++) await connectH2(harness.url).closed;
    await h1.closed;
    assert.match(h1.said(), /^HTTP\/1.1 404 /);
    assert.equal(call.signal.aborted, false);
    const before = quiet.received().length;
    quiet.stream.write(frame);
    while (quiet.received().length < before + frame.length) await once(quiet.stream, "data");
    quiet.stream.end();
    await quietClosed;
  });

  test("LM13 a connection that said nothing is closed", {
    skip: listenerHere === "Bun.serve" && "after 10 s",
  }, async () => {
    const { port } = await start({ limits: { firstMessageMs: 200 } });
    await connectRaw(port).closed;
  });
});

describe("a call's one message", () => {
  /** Sends a byte now and then for as long as it is let. */
  async function trickle(write: (byte: Uint8Array) => void, answered: Promise<unknown>): Promise<void> {
    let isOver = false;
    answered.finally(() => {
      isOver = true;
    });
    while (!isOver) {
      write(new Uint8Array(1));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  for (const contentType of ["application/proto", "application/grpc-web+proto", "application/grpc-web-text"]) {
    test(`LM14 one that trickles in ends FIRST_MESSAGE_TIMEOUT: ${contentType}, HTTP/2`, async () => {
      const { url, reported } = await start({ limits: { firstMessageMs: 200 } });
      const { stream, received, collect, connection } = openH2(url, {
        ":path": publishPath,
        "content-type": contentType,
      });
      collect();
      const answered = once(stream, "end");
      const zero = Buffer.from(contentType.endsWith("text") ? "A" : [0]);
      const begin = Buffer.from([0, 0, 0, 3, 232, 0]);
      if (contentType !== "application/proto") {
        stream.write(contentType.endsWith("text") ? begin.toString("base64") : begin);
      }
      await trickle(() => stream.writable && stream.write(zero), answered);
      const bytes = received();
      const text = Buffer.from(bytes).toString("latin1");
      const said = contentType.endsWith("text") ? Buffer.from(text, "base64").toString("latin1") : text;
      assert.match(said, /FIRST_MESSAGE_TIMEOUT|grpc-status: ?4/);
      assert.deepEqual(reported, []);
      connection.destroy();
    });
  }

  test("LM14 one that trickles in ends FIRST_MESSAGE_TIMEOUT: HTTP/1.1", async () => {
    const { port } = await start({ limits: { firstMessageMs: 200 } });
    const call = connectRaw(port);
    call.socket.write(
      `POST ${publishPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n`,
    );
    const answered = call.hears("FIRST_MESSAGE_TIMEOUT");
    await trickle((byte) => call.socket.writable && call.socket.write(byte), answered);
    assert.match(await answered, /^HTTP\/1.1 408 |^HTTP\/1.1 504 /);
    call.socket.destroy();
  });

  test("LM14 one that comes in time is taken, and what takes several is not bound behind its first", async () => {
    const { url } = await start({ limits: { firstMessageMs: 200 } });
    const headers = { "content-type": "application/json" };
    const response = await fetch(url + publishPath, { method: "POST", headers, body: "{}" });
    assert.equal(response.status, 200);
    async function* slow() {
      yield new Uint8Array([1]);
      await new Promise((resolve) => setTimeout(resolve, 30));
      yield new Uint8Array([2]);
    }
    const request = {
      httpVersion: "2",
      method: "POST",
      url,
      header: new Headers(),
      body: slow(),
      signal: new AbortController().signal,
    };
    const { collaborativeSession, publish } = CodeReviewService.method;
    const read = async (method: typeof publish | typeof collaborativeSession) => {
      const { body } = withPromptBody({ ...request, body: slow() }, method, 10);
      if (typeof body !== "object" || body === null || !(Symbol.asyncIterator in body))
        throw new Error("there is a body");
      const bytes: number[] = [];
      for await (const chunk of body) bytes.push(...chunk);
      return bytes;
    };
    assert.deepEqual(await read(collaborativeSession), [1, 2]);
    await assert.rejects(read(publish));
  });
});

describe("a length", () => {
  const head = new Uint8Array([0, 0xff, 0xff, 0xff, 0xff]);
  const streams = [
    "application/connect+proto",
    "application/connect+json",
    "application/grpc-web+proto",
    "application/grpc-web-text",
  ];
  const calls = [
    ...streams.map((contentType) => ({ path: sessionPath, contentType })),
    { path: publishPath, contentType: "application/grpc-web+proto" },
    { path: publishPath, contentType: "application/grpc-web-text" },
    ...(listenerHere === "Bun.serve"
      ? []
      : [sessionPath, publishPath].map((path) => ({ path, contentType: "application/grpc+proto" }))),
  ];
  for (const { path, contentType } of calls) {
    test(`LM15 4 GiB - 1 promised is MESSAGE_TOO_LARGE by its first bytes: ${contentType} ${path.split("/").at(-1)}`, async () => {
      const { url, reported } = await start();
      const { stream, received, collect, connection } = openH2(url, { ":path": path, "content-type": contentType });
      collect();
      const isText = contentType.endsWith("text");
      // Its half stays open: what was promised may still come.
      stream.write(isText ? Buffer.from(Buffer.from([...head, 0]).toString("base64")) : head);
      const trailers: Record<string, unknown> = {};
      stream
        .on("trailers", (fields) => Object.assign(trailers, fields))
        .on("response", (fields) => Object.assign(trailers, fields));
      await once(stream, "end");
      const said = Buffer.from(received()).toString("latin1");
      const plain = isText
        ? said
            .match(/.{4}/g)
            ?.map((quad) => Buffer.from(quad, "base64").toString("latin1"))
            .join("")
        : said;
      assert.match(`${plain} grpc-status: ${trailers["grpc-status"]}`, /resource_exhausted|grpc-status: ?8/);
      assert.deepEqual(reported, []);
      connection.destroy();
    });
  }

  test("LM15 a body that says it is too large is not waited for: Connect, one message", async () => {
    const { port } = await start();
    const call = connectRaw(port);
    call.socket.write(
      `POST ${publishPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/proto\r\ncontent-length: 4294967295\r\n\r\n`,
    );
    assert.match(await call.hears("MESSAGE_TOO_LARGE"), /^HTTP\/1.1 429 /);
    call.socket.destroy();
  });
});
