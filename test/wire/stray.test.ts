// What comes to the listener of node:http2 and is no call: too much, too slow, or something else altogether.
import assert from "node:assert/strict";
import http2 from "node:http2";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { runtimeName } from "../../src/runtime/this-runtime.ts";
import { connectBareH2 } from "./bare-h2.ts";
import { customMessage, type Harness, type HarnessOptions, startHarness } from "./harness.ts";
import { openH1, openH2, sessionPath } from "./raw.ts";

const running: Harness[] = [];
async function start(options: HarnessOptions = {}): Promise<Harness> {
  const harness = await startHarness({ listener: "node:http2", ...options });
  running.push(harness);
  return harness;
}
after(() => Promise.all(running.map((harness) => harness.stop())));

let harness: Harness;
before(async () => {
  harness = await start();
});

const frame = encodeFrame(SessionMessageSchema, customMessage("x"), "binary");

/** What the server says to these bytes until it closes the connection. */
function say(port: number, bytes: string | Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(said));
    socket.write(bytes);
  });
}

/** One call, whole, over HTTP/2: the listener serves. */
async function assertServes({ url }: Harness): Promise<void> {
  const { stream, closed, collect, received, connection } = openH2(url);
  collect();
  stream.end(frame);
  await closed;
  connection.destroy();
  assert.ok(received().length > frame.length);
}

describe("too much", () => {
  test("LS3 headers over the limit are answered 431 or reset, before anything is called: HTTP/2", async () => {
    const small = await start({ limits: { headerBytes: 2048 } });
    const connection = http2.connect(small.url);
    const statusOf = (padding: number) =>
      new Promise<string>((resolve) => {
        const stream = connection.request({
          ":method": "POST",
          ":path": sessionPath,
          "content-type": "application/connect+proto",
          padding: "x".repeat(padding),
        });
        stream.on("error", () => undefined);
        stream.on("response", (headers) => resolve(String(headers[":status"])));
        stream.on("close", () => resolve(`reset ${stream.rstCode}`));
        stream.resume().end();
      });
    assert.match(await statusOf(2048), /^431$|^reset 11$/);
    assert.equal(small.calls.length, 0);
    assert.equal(await statusOf(1500), "200");
    connection.destroy();
  });

  test("LS3 headers over the limit are answered 431: HTTP/1.1", async () => {
    const small = await start({ limits: { headerBytes: 2048 } });
    const head = `POST ${sessionPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+proto\r\n`;
    assert.match(await say(small.port, `${head}padding: ${"x".repeat(4096)}\r\n\r\n`), /^HTTP\/1.1 431 /);
    assert.equal(small.calls.length, 0);
  });

  test("LS4 a stream more than a connection may hold is refused, and the others live", async () => {
    const few = await start({ limits: { streamsPerConnection: 3 } });
    const connection = connectBareH2(few.port);
    const streams = [];
    for (const id of [1, 3, 5]) {
      const called = few.nextCall();
      streams.push(connection.open(id));
      await called;
    }
    assert.equal(await connection.open(7).closed, http2.constants.NGHTTP2_REFUSED_STREAM);
    assert.equal(few.calls.length, 3);
    const [first] = streams;
    first?.send(frame);
    await few.calls[0]?.call.outlet.write(frame);
    while ((first?.received().length ?? 0) < 2 * frame.length) await new Promise((resolve) => setTimeout(resolve, 5));
    connection.socket.destroy();
  });
});

describe("too slow", () => {
  const openings = {
    nothing: "",
    "a part of what HTTP/2 begins with": "PR",
    "what HTTP/2 begins with, and opens no stream": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "a part of a head of HTTP/1.1": `POST ${sessionPath} HTTP/1.1\r\nhost: `,
  };
  for (const [title, bytes] of Object.entries(openings)) {
    test(`LS5 a connection that says ${title} is closed`, async () => {
      const brisk = await start({ limits: { firstMessageMs: 300 } });
      // Over HTTP/2 the server has settings to tell, and a last word.
      if (bytes.includes("HTTP/2")) await say(brisk.port, bytes);
      else assert.match(await say(brisk.port, bytes), /^$|^HTTP\/1.1 408 /);
      await assertServes(brisk);
    });
  }

  test("LS5 a stream that is quiet for longer than that is not", async () => {
    const brisk = await start({ limits: { firstMessageMs: 100 } });
    const called = [brisk.nextCall(), brisk.nextCall()];
    const h1 = openH1(brisk.port);
    const h2 = openH2(brisk.url);
    h2.collect();
    const seen = await Promise.all(called);
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.deepEqual(
      seen.map(({ aborts }) => aborts),
      [0, 0],
    );
    h1.socket.destroy();
    h2.connection.destroy();
  });
});

describe("smuggled requests", () => {
  const inner = `GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n`;
  const head = `POST ${sessionPath} HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+proto\r\n`;
  const shapes = {
    "a length and chunks": `${head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    "two lengths": `${head}content-length: 0\r\ncontent-length: ${inner.length}\r\n\r\n${inner}`,
    "a length that is none": `${head}content-length: +5\r\n\r\n${inner}`,
    "a space before the colon": `${head}transfer-encoding : chunked\r\n\r\n0\r\n\r\n${inner}`,
    "an unknown transfer encoding": `${head}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n${inner}`,
    "a bare line feed": `${head}x: y\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
    "a chunk's size that is none": `${head}transfer-encoding: chunked\r\n\r\n-1\r\n\r\n${inner}`,
    "chunks in a version that has none": `${head.replace("1.1", "1.0")}connection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${inner}`,
  };
  for (const [title, bytes] of Object.entries(shapes)) {
    test(`LS6 ${title}: refused, and the connection is closed`, async () => {
      const said = await say(harness.port, bytes);
      assert.ok(!said.includes("404"), `the inner request was answered: ${said}`);
      assert.match(said, /HTTP\/1.1 400 /);
    });
  }

  const hosts = {
    "a host that goes on as a path": `host: x${sessionPath}?`,
    "a host that goes on as a query": `host: x?`,
    "a host that goes on as a fragment": `host: x#`,
    "a host that goes on behind a backslash": `host: x\\${sessionPath.slice(1)}?`,
    "a host behind a user": "host: somebody@x",
    "an empty host": "host:",
    "two hosts": "host: x\r\nhost: y",
  };
  for (const [title, field] of Object.entries(hosts)) {
    test(`LS12 ${title}: refused, and nothing is called`, async () => {
      const quiet = await start();
      for (const path of ["/nothing", sessionPath]) {
        const request = `POST ${path} HTTP/1.1\r\n${field}\r\ncontent-type: application/connect+proto\r\ncontent-length: 0\r\n\r\n`;
        assert.match(await say(quiet.port, request), /^HTTP\/1.1 400 /);
      }
      assert.equal(quiet.calls.length, 0);
      await assertServes(quiet);
    });
  }
});

describe("an answer that goes before its request has come whole", () => {
  const head = `POST ${sessionPath} HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\n`;
  /** A connection on which that was answered, before anything of the request's body was sent. */
  async function answerEarly() {
    const socket = net.connect(harness.port, "127.0.0.1");
    let said = "";
    socket.on("data", (chunk) => {
      said += chunk.toString("latin1");
    });
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    socket.on("error", () => undefined);
    socket.write(head);
    const answers = () => said.match(/HTTP\/1.1 415 /g)?.length ?? 0;
    const answered = async (count: number) => {
      while (answers() < count && !socket.destroyed) await new Promise((resolve) => setTimeout(resolve, 5));
      return answers();
    };
    assert.equal(await answered(1), 1);
    return { socket, closed, answered };
  }

  test("LS14 the rest may come later, and the next request behind it", {
    skip: runtimeName === "deno" && "Deno's node:http closes such a connection",
  }, async () => {
    const { socket, answered } = await answerEarly();
    socket.write(`he`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let count = 2; count <= 13; count++) {
      socket.write(`${count === 2 ? "llo" : "hello"}${head}`);
      assert.equal(await answered(count), count);
    }
    socket.destroy();
    await assertServes(harness);
  });

  test("LS14 where the rest does not come, the connection is closed", async () => {
    const { socket, closed } = await answerEarly();
    socket.write("he");
    await closed;
    await assertServes(harness);
  });
});

describe("something else", () => {
  const closed: Record<string, Uint8Array | string> = {
    "a TLS hello": Uint8Array.from([0x16, 3, 1, 0, 4, 1, 0, 0, 0]),
    "bytes at random": Uint8Array.from({ length: 4096 }, (_, i) => (i * 7919) % 251),
    "a preface that goes wrong": "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    "a preface and a frame that is too large": `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${"\xff".repeat(64)}`,
    "a CONNECT": "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n",
  };
  for (const [title, bytes] of Object.entries(closed)) {
    test(`LS7 ${title} is refused or cut off, and the listener goes on`, async () => {
      const said = await say(harness.port, typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
      assert.doesNotMatch(said, /HTTP\/1.1 [235]/);
      await assertServes(harness);
    });
  }

  const answered = {
    "a target that is no path": ["OPTIONS * HTTP/1.1\r\nhost: x", /^HTTP\/1.1 400 /],
    "no host": ["GET / HTTP/1.1", /^HTTP\/1.1 400 /],
    "a host that is none": ["GET / HTTP/1.1\r\nhost: a b", /^HTTP\/1.1 400 /],
    "a whole URL as the target": [`GET http://x${sessionPath} HTTP/1.1\r\nhost: x`, /^HTTP\/1.1 405 /],
    "another path": ["GET /nothing HTTP/1.1\r\nhost: x", /^HTTP\/1.1 404 /],
    "another verb": [`DELETE ${sessionPath} HTTP/1.1\r\nhost: x`, /^HTTP\/1.1 405 /],
    "no content type": [`POST ${sessionPath} HTTP/1.1\r\nhost: x\r\ncontent-length: 0`, /^HTTP\/1.1 415 /],
  } as const;
  for (const [title, [head, expected]] of Object.entries(answered)) {
    test(`LS7 ${title} is answered as HTTP says`, async () => {
      assert.match(await say(harness.port, `${head}\r\nconnection: close\r\n\r\n`), expected);
    });
  }

  test("LS13 over HTTP/2 the authority may be told by Host alone, as some proxies do; without either it is refused", {
    skip: runtimeName === "deno" && "Deno leaves one without either unanswered",
  }, async () => {
    const client = http2.connect(harness.url);
    const ask = (headers: http2.OutgoingHttpHeaders) =>
      new Promise((resolve, reject) => {
        const stream = client.request({ ":method": "POST", ":path": sessionPath, ...headers }, { endStream: true });
        stream.on("response", (answer) => resolve(answer[":status"])).on("error", reject);
        stream.resume();
      });
    // 415: the method was found, and the content type was not.
    assert.equal(await ask({ ":authority": "a.example.com" }), 415);
    assert.equal(await ask({ host: "a.example.com" }), 415);
    client.destroy();
    const connection = connectBareH2(harness.port);
    const nobody = connection.open(1, { ":authority": "" });
    await nobody.closed;
    connection.socket.destroy();
    await assertServes(harness);
  });

  test("LS7 over HTTP/2 too: CONNECT, and an authority that is none", async () => {
    const connection = connectBareH2(harness.port);
    const wrong = connection.open(1, { ":authority": "a b", ":path": "/x" });
    await wrong.closed;
    connection.socket.destroy();
    await assertServes(harness);
    const client = http2.connect(harness.url);
    const stream = client.request({ ":method": "CONNECT", ":authority": "example.com:443" });
    stream.on("error", () => undefined);
    const status = await new Promise((resolve) => {
      stream.on("response", (headers) => resolve(headers[":status"]));
      stream.on("close", () => resolve(undefined));
    });
    assert.notEqual(status, 200);
    client.destroy();
    await assertServes(harness);
  });
});
