import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { errorFromJson } from "@connectrpc/connect/protocol-connect";
import * as nodeTransport from "@connectrpc/connect-node";
import {
  CodeReviewService,
  PublishRequestSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeBase64 } from "../../src/relay/wire/base64.ts";
import { gunzip } from "../../src/relay/wire/compression.ts";
import { decodeMessage, encodeFrame } from "../../src/relay/wire/envelope.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { createRandom } from "../support/random.ts";
import { customMessage, type Harness, maxMessageBytes, startHarness, typeOf } from "./harness.ts";
import { endOf, namesOf, readText, sessionPath, splitFrames } from "./raw.ts";

const publishPath = "/codereview.v1.CodeReviewService/Publish";

const gzip = (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes));

function frame(data: Uint8Array, flags: number): Uint8Array {
  const envelope = new Uint8Array(5 + data.length);
  new DataView(envelope.buffer).setUint32(1, data.length);
  envelope[0] = flags;
  envelope.set(data, 5);
  return envelope;
}
const compressed = (message: SessionMessage) => frame(gzip(toBinary(SessionMessageSchema, message)), 1);
const plain = (message: SessionMessage) => encodeFrame(SessionMessageSchema, message, "binary");

/** A message of so many bytes that compresses well. */
const sized = (bytes: number) => create(SessionMessageSchema, { sessionId: "x".repeat(bytes - 4) });

/** What is no good gzip, of a message that is good. */
function damaged(data: Uint8Array): Record<string, Uint8Array> {
  const good = gzip(data);
  const changed = (fromEnd: number) => {
    const bytes = good.slice();
    bytes[bytes.length - fromEnd] = (bytes.at(-fromEnd) ?? 0) ^ 1;
    return bytes;
  };
  return {
    "no bytes": new Uint8Array(0),
    "no gzip": data,
    "a cut head": good.subarray(0, 5),
    "cut data": good.subarray(0, good.length - 9),
    "a cut trailer": good.subarray(0, good.length - 1),
    "a wrong checksum": changed(8),
    "a wrong length": changed(1),
    "bytes behind it": Buffer.concat([good, Buffer.from("more")]),
    "zeros behind it": Buffer.concat([good, new Uint8Array(8)]),
  };
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return error instanceof BatonError ? `${error.reason}: ${error.message}` : String(error);
}

describe("decompressing", () => {
  test("GZ1 what was compressed comes out, whatever its size", async () => {
    const random = createRandom(3);
    for (const length of [0, 1, 100, 16_384, 16_385, 65_536, 65_537, 262_144]) {
      const bytes = Uint8Array.from({ length }, () => Math.floor(random() * 64));
      assert.deepEqual(await gunzip(gzip(bytes), length), bytes);
    }
  });

  test("GZ2 the limit passes, one byte more is MESSAGE_TOO_LARGE", async () => {
    for (const length of [1, 1_000, 65_536, 262_144]) {
      const bytes = gzip(new Uint8Array(length));
      assert.equal((await gunzip(bytes, length)).length, length);
      assert.match(await reasonOf(gunzip(bytes, length - 1)), /^MESSAGE_TOO_LARGE: .* after decompression$/);
    }
  });

  test("GZ2 a bomb is let go at the limit, before it takes the memory", async () => {
    const limit = 256 * 1024;
    const bomb = gzip(new Uint8Array(256 * 1024 * 1024)).subarray(0, limit);
    assert.match(await reasonOf(gunzip(bomb, limit)), /^MESSAGE_TOO_LARGE/);
    const before = process.memoryUsage.rss();
    for (let count = 0; count < 20; count++) {
      assert.match(await reasonOf(gunzip(bomb, limit)), /^MESSAGE_TOO_LARGE/);
    }
    assert.ok(process.memoryUsage.rss() - before < 64 * 1024 * 1024, "20 bombs would be 5 GiB");
  });

  for (const [title, bytes] of Object.entries(damaged(new TextEncoder().encode("swordfish ".repeat(9))))) {
    test(`GZ3 ${title} is MALFORMED`, async () => {
      assert.equal(await reasonOf(gunzip(bytes, 1_000)), "MALFORMED: decompression failed");
    });
  }
});

let harness: Harness;
before(async () => {
  harness = await startHarness();
});
after(() => harness.stop());

const protocols = [
  { contentType: "application/connect+proto", encoding: "connect-content-encoding", accept: "connect-accept-encoding" },
  { contentType: "application/grpc-web+proto", encoding: "grpc-encoding", accept: "grpc-accept-encoding" },
  { contentType: "application/grpc-web-text", encoding: "grpc-encoding", accept: "grpc-accept-encoding" },
] as const;

for (const { contentType, encoding, accept } of protocols) {
  describe(`a compressed stream, ${contentType}`, () => {
    const isText = contentType.endsWith("text");

    async function send(frames: readonly Uint8Array[], name: string | null = "gzip") {
      const body = new Uint8Array(Buffer.concat(frames));
      const response = await fetch(harness.url + sessionPath, {
        method: "POST",
        headers: { "content-type": contentType, ...(name === null ? {} : { [encoding]: name }) },
        body: isText ? encodeBase64(body) : body,
      });
      const bytes = isText ? readText(await response.text()) : new Uint8Array(await response.arrayBuffer());
      return { response, bytes };
    }
    const echoed = (bytes: Uint8Array) =>
      splitFrames(bytes)
        .slice(1, -1)
        .map(({ flags, data }) => {
          assert.equal(flags, 0, "an answer is compressed");
          return typeOf(decodeMessage(SessionMessageSchema, data, "binary"));
        });

    test("GZ5 answers are not compressed, and name what may be sent", async () => {
      const frames = [compressed(customMessage("a")), plain(customMessage("b")), compressed(customMessage("c"))];
      const { response, bytes } = await send(frames);
      assert.deepEqual(echoed(bytes), ["a", "b", "c"]);
      assert.equal(endOf(bytes), undefined);
      assert.equal(response.headers.get(accept), "gzip, identity");
      assert.equal(response.headers.get(encoding), null);
    });

    test("GZ1 each message tells for itself whether it is compressed", async () => {
      const frames = [compressed(customMessage("a")), plain(customMessage("b")), compressed(customMessage("c"))];
      assert.deepEqual(echoed((await send(frames)).bytes), ["a", "b", "c"]);
    });

    test("GZ1 a call that names identity, or nothing, carries messages as they are", async () => {
      for (const name of ["identity", "", null]) {
        assert.deepEqual(echoed((await send([plain(customMessage("b"))], name)).bytes), ["b"]);
      }
    });

    test("GZ2 the limit holds after decompression, and before", async () => {
      const { bytes } = await send([compressed(sized(maxMessageBytes))]);
      assert.equal(endOf(bytes), undefined);
      const after = endOf((await send([compressed(sized(maxMessageBytes + 1))])).bytes);
      assert.deepEqual(namesOf(after), { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
      assert.match(after?.rawMessage ?? "", /after decompression$/);
      const promised = frame(new Uint8Array(0), 1);
      new DataView(promised.buffer).setUint32(1, maxMessageBytes + 1);
      const wire = endOf((await send([promised])).bytes);
      assert.deepEqual(namesOf(wire), { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
      assert.doesNotMatch(wire?.rawMessage ?? "", /decompression/);
    });

    test("GZ3 what cannot be decompressed is MALFORMED, and what was before it is taken", async () => {
      const kinds = Object.values(damaged(toBinary(SessionMessageSchema, customMessage("swordfish"))));
      for (const data of kinds) {
        const { bytes } = await send([compressed(customMessage("a")), frame(data, 1), plain(customMessage("z"))]);
        assert.deepEqual(echoed(bytes), ["a"]);
        assert.deepEqual(namesOf(endOf(bytes)), { code: "InvalidArgument", reason: "MALFORMED" });
        assert.equal(endOf(bytes)?.rawMessage, "decompression failed");
      }
    });

    test("GZ3 what was compressed twice is no message", async () => {
      const twice = gzip(gzip(toBinary(SessionMessageSchema, customMessage("a"))));
      const end = endOf((await send([frame(twice, 1)])).bytes);
      assert.deepEqual(namesOf(end), { code: "InvalidArgument", reason: "MALFORMED" });
    });

    test("GZ4 a compressed message where the call names no encoding is ENCODING_MISSING, internal", async () => {
      for (const name of ["identity", null]) {
        const end = endOf((await send([compressed(customMessage("a"))], name)).bytes);
        assert.deepEqual(namesOf(end), { code: "Internal", reason: "ENCODING_MISSING" });
      }
      assert.deepEqual(harness.reported, []);
    });
  });
}

describe("compressed unary calls", () => {
  const request = create(PublishRequestSchema, { messages: [customMessage("hello")] });
  const publish = (headers: Record<string, string>, body: Uint8Array) =>
    fetch(harness.url + publishPath, { method: "POST", headers, body: new Uint8Array(body) });

  const forms = {
    "application/proto": toBinary(PublishRequestSchema, request),
    "application/json": new TextEncoder().encode(toJsonString(PublishRequestSchema, request)),
  };
  for (const [contentType, bytes] of Object.entries(forms)) {
    test(`GZ5 the whole body is compressed, the answer is not: ${contentType}`, async () => {
      const headers = { "content-type": contentType, "content-encoding": "gzip", "accept-encoding": "gzip" };
      const response = await publish(headers, gzip(bytes));
      assert.equal(response.status, 200);
      assert.match(await response.text(), /hello/);
      assert.equal(response.headers.get("content-encoding"), null);
      assert.equal(response.headers.get("accept-encoding"), "gzip, identity");
    });

    test(`GZ3 its limit, and what cannot be decompressed: ${contentType}`, async () => {
      const headers = { "content-type": contentType, "content-encoding": "gzip" };
      const bodies = { MESSAGE_TOO_LARGE: gzip(new Uint8Array(16 * 1024 * 1024)), MALFORMED: bytes };
      for (const [reason, body] of Object.entries(bodies)) {
        const response = await publish(headers, body);
        const error = errorFromJson(await response.json(), undefined, new ConnectError("", Code.Unknown));
        assert.equal(namesOf(error).reason, reason);
        assert.match(error.rawMessage, reason === "MALFORMED" ? /decompression failed/ : /after decompression$/);
      }
      for (const body of Object.values(damaged(bytes))) assert.equal((await publish(headers, body)).status, 400);
    });

    test(`WR14 another encoding is refused unimplemented: ${contentType}`, async () => {
      const response = await publish({ "content-type": contentType, "content-encoding": "br" }, bytes);
      const error = errorFromJson(await response.json(), undefined, new ConnectError("", Code.Unknown));
      assert.deepEqual(namesOf(error), { code: "Unimplemented", reason: "PROTOCOL_UNSUPPORTED" });
      assert.match(error.rawMessage, /supported encodings: gzip, identity$/);
      assert.equal(response.headers.get("accept-encoding"), "gzip, identity");
    });
  }

  test("GZ4 the same over gRPC-Web, where a message tells whether it is compressed", async () => {
    const bytes = toBinary(PublishRequestSchema, request);
    const large = gzip(new Uint8Array(16 * 1024 * 1024));
    const cases: readonly [string | undefined, Uint8Array, string | undefined][] = [
      ["gzip", frame(gzip(bytes), 1), undefined],
      ["gzip", frame(bytes, 0), undefined],
      ["gzip", frame(large, 1), "MESSAGE_TOO_LARGE"],
      ["gzip", frame(bytes, 1), "MALFORMED"],
      [undefined, frame(gzip(bytes), 1), "ENCODING_MISSING"],
      ["identity", frame(gzip(bytes), 1), "ENCODING_MISSING"],
      ["br", frame(bytes, 1), "PROTOCOL_UNSUPPORTED"],
    ];
    for (const [name, body, reason] of cases) {
      const headers = { "content-type": "application/grpc-web+proto", "grpc-accept-encoding": "gzip" };
      const response = await publish({ ...headers, ...(name === undefined ? {} : { "grpc-encoding": name }) }, body);
      const answer = new Uint8Array(await response.arrayBuffer());
      const end = endOf(answer);
      assert.equal(end === undefined ? undefined : namesOf(end).reason, reason, `${name} ${reason}`);
      assert.ok(splitFrames(answer).every(({ flags }) => (flags & 1) === 0));
      assert.equal(response.headers.get("grpc-accept-encoding"), "gzip, identity");
      assert.equal(response.headers.get("grpc-encoding"), null);
    }
    assert.deepEqual(harness.reported, []);
  });
});

describe("clients that compress", () => {
  const options = { sendCompression: nodeTransport.compressionGzip, compressMinBytes: 1 };
  const transports: Record<string, (baseUrl: string) => Transport> = {
    "Connect, HTTP/2": (baseUrl) => nodeTransport.createConnectTransport({ baseUrl, httpVersion: "2", ...options }),
    "Connect, HTTP/1.1": (baseUrl) => nodeTransport.createConnectTransport({ baseUrl, httpVersion: "1.1", ...options }),
    "gRPC-Web, HTTP/2": (baseUrl) => nodeTransport.createGrpcWebTransport({ baseUrl, httpVersion: "2", ...options }),
  };
  for (const [title, createTransport] of Object.entries(transports)) {
    test(`GZ1 connect-es with gzip, streams and calls: ${title}`, async () => {
      const client = createClient(CodeReviewService, createTransport(harness.url));
      const { replies } = await client.publish({ messages: [customMessage("hello", new Uint8Array(5_000))] });
      assert.deepEqual(replies.map(typeOf), ["hello"]);
      const got: string[] = [];
      async function* messages() {
        for (const type of ["a", "b", "c"]) yield customMessage(type, new Uint8Array(5_000));
      }
      for await (const message of client.collaborativeSession(messages())) got.push(typeOf(message));
      assert.deepEqual(got, ["heartbeat", "a", "b", "c"]);
    });
  }
});
