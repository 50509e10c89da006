import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  CodeReviewService,
  PublishRequestSchema,
  PublishResponseSchema,
  SessionMessageSchema,
  SubscribeRequestSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createBase64Decoder, encodeBase64 } from "../../src/relay/wire/base64.ts";
import { decodeMessage, encodeFrame, envelop, frameInForm } from "../../src/relay/wire/envelope.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { createRandom } from "../support/random.ts";
import { customMessage, type Harness, heartbeat, maxMessageBytes, startHarness, typeOf } from "./harness.ts";
import { endOf, namesOf, openH2, readText, sessionPath, splitFrames } from "./raw.ts";

const contentType = "application/grpc-web-text";
const publishPath = "/codereview.v1.CodeReviewService/Publish";

const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");

function decode(pieces: readonly string[]) {
  const decoder = createBase64Decoder();
  const bytes = Buffer.concat(pieces.map((piece) => decoder.decode(Buffer.from(piece, "latin1"))));
  return { bytes, isIncomplete: decoder.isIncomplete };
}

describe("base64", () => {
  test("WT2 what is encoded is what the platform encodes, whatever its length", () => {
    const random = createRandom(1);
    for (let length = 0; length < 300; length++) {
      const bytes = Uint8Array.from({ length }, () => Math.floor(random() * 256));
      assert.equal(Buffer.from(encodeBase64(bytes)).toString("latin1"), base64(bytes));
    }
  });

  test("WT3 pieces that were padded one by one, cut anywhere, say what their bytes say", () => {
    let padded = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const random = createRandom(seed);
      const upTo = (most: number) => Math.floor(random() * (most + 1));
      const parts = Array.from({ length: 1 + upTo(5) }, () => Uint8Array.from({ length: upTo(9) }, () => upTo(255)));
      const text = parts.map(base64).join("");
      padded += text.split("=").length - 1;
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const to = at + upTo(6);
        pieces.push(text.slice(at, to));
        at = to;
      }
      const { bytes, isIncomplete } = decode(pieces);
      assert.deepEqual(bytes, Buffer.concat(parts), `seed ${seed}`);
      assert.equal(isIncomplete, false);
    }
    assert.ok(padded > 300, "some padding was read");
  });

  test("WT4 what is not base64 is MALFORMED, wherever it is cut", () => {
    for (const text of [
      "=",
      "A=",
      "A===",
      "====",
      "AA=A",
      "AAA-",
      "AAA_",
      "AA A",
      "AAAA\n",
      "AAA\0",
      "AAA\xff",
      "AA===",
    ]) {
      for (let cut = 0; cut <= text.length; cut++) {
        assert.throws(
          () => decode([text.slice(0, cut), text.slice(cut)]),
          (error) =>
            error instanceof BatonError && error.reason === "MALFORMED" && error.message === "the body is not base64",
          `${JSON.stringify(text)} at ${cut}`,
        );
      }
    }
  });

  test("WT4 a text that ends within four characters is told from one that does not", () => {
    for (const text of ["A", "AA", "AAA", "AA=", "AAAAA"]) assert.equal(decode([text]).isIncomplete, true, text);
    for (const text of ["", "AA==", "AAA=", "AAAA", "AA==AA=="]) assert.equal(decode([text]).isIncomplete, false, text);
  });
});

describe("frames as text", () => {
  test("WT2 a frame's text says the binary frame, its envelope with it", () => {
    const message = customMessage("note", new Uint8Array([1, 2, 3]));
    const binary = encodeFrame(SessionMessageSchema, message, "binary");
    const text = encodeFrame(SessionMessageSchema, message, "text");
    assert.equal(Buffer.from(text).toString("latin1"), base64(binary));
    assert.deepEqual(frameInForm(SessionMessageSchema, binary, "text"), text);
    assert.equal(frameInForm(SessionMessageSchema, binary, "binary"), binary);
    assert.deepEqual(decodeMessage(SessionMessageSchema, binary.subarray(5), "text"), message);
  });
});

describe("gRPC-Web text", () => {
  let harness: Harness;
  before(async () => {
    harness = await startHarness();
  });
  after(() => harness.stop());

  async function post(path: string, body: string, headers: Record<string, string> = {}) {
    const response = await fetch(harness.url + path, {
      method: "POST",
      headers: { "content-type": contentType, ...headers },
      body,
    });
    return { response, bytes: readText(await response.text()) };
  }
  const messagesOf = (bytes: Uint8Array) =>
    splitFrames(bytes)
      .filter(({ flags }) => flags === 0)
      .map(({ data }) => typeOf(decodeMessage(SessionMessageSchema, data, "binary")));
  const note = (type: string) => base64(encodeFrame(SessionMessageSchema, customMessage(type), "binary"));

  for (const type of ["application/grpc-web-text", "application/grpc-web-text+proto"]) {
    test(`WT1 streams and calls are served, and answered as text: ${type}`, async () => {
      const request = create(SubscribeRequestSchema, { sessionId: "demo" });
      const stream = await post(
        "/codereview.v1.CodeReviewService/Subscribe",
        base64(envelop(toBinary(SubscribeRequestSchema, request))),
        { "content-type": type },
      );
      assert.equal(stream.response.headers.get("content-type"), "application/grpc-web-text+proto");
      assert.deepEqual(messagesOf(stream.bytes), ["1", "2", "demo"]);
      assert.equal(endOf(stream.bytes), undefined);

      const publish = create(PublishRequestSchema, { messages: [customMessage("hello")] });
      const unary = await post(publishPath, base64(envelop(toBinary(PublishRequestSchema, publish))), {
        "content-type": type,
      });
      assert.equal(unary.response.headers.get("content-type"), "application/grpc-web-text+proto");
      const [answer] = splitFrames(unary.bytes);
      assert.ok(answer !== undefined);
      assert.deepEqual(decodeMessage(PublishResponseSchema, answer.data, "binary").replies.map(typeOf), ["hello"]);
      assert.equal(endOf(unary.bytes), undefined);
    });
  }

  test("WT1 there is no JSON in text", async () => {
    for (const path of [sessionPath, publishPath]) {
      const response = await fetch(harness.url + path, {
        method: "POST",
        headers: { "content-type": "application/grpc-web-text+json" },
        body: "AAAAAAA=",
      });
      assert.equal(response.status, 415);
      assert.match(response.headers.get("accept-post") ?? "", /application\/grpc-web-text\+proto$/);
    }
  });

  test("WT1 a bidi stream is full duplex as text", async () => {
    const called = harness.nextCall();
    const { stream, connection, closed } = openH2(harness.url, { "content-type": contentType });
    let text = "";
    const more = () => new Promise<void>((resolve) => stream.once("data", () => resolve()));
    stream.on("data", (chunk: Uint8Array) => {
      text += Buffer.from(chunk).toString("latin1");
    });
    for (let round = 1; round <= 3; round++) {
      stream.write(note(`round ${round}`));
      while (messagesOf(readText(text)).length <= round) await more();
    }
    stream.end();
    await closed;
    connection.close();
    assert.deepEqual(messagesOf(readText(text)), [typeOf(heartbeat), "round 1", "round 2", "round 3"]);
    assert.equal(endOf(readText(text)), undefined);
    const { call } = await called;
    assert.deepEqual([call.protocol, call.outlet.form], ["grpc-web", "text"]);
  });

  test("WT3 a body of many padded pieces, in DATA frames of one byte, is read as what it says", async () => {
    const called = harness.nextCall();
    const { stream, connection, closed, collect, received } = openH2(harness.url, { "content-type": contentType });
    collect();
    const [first = 0, ...rest] = encodeFrame(SessionMessageSchema, customMessage("cut"), "binary");
    const text = base64(Uint8Array.of(first)) + base64(Uint8Array.from(rest)) + note("whole");
    assert.ok(text.includes("==") && !text.endsWith("=="));
    for (const character of text) {
      stream.write(character);
      await new Promise((resolve) => setImmediate(resolve));
    }
    stream.end();
    await closed;
    connection.close();
    assert.deepEqual(messagesOf(readText(Buffer.from(received()).toString("latin1"))).slice(1), ["cut", "whole"]);
    assert.equal(await (await called).handled, undefined);
  });

  for (const [title, path, body] of [
    ["a stream that is not base64", sessionPath, "AAAAAAA=!"],
    ["a stream that ends within four characters", sessionPath, "AAAAAAA=AA"],
    ["a stream that ends within a message", sessionPath, base64(Uint8Array.of(0, 0, 0, 0, 2, 1))],
    ["a call that is not base64", publishPath, "AAAAAAA=!"],
    ["a call that ends within four characters", publishPath, "AAAAAAA=AA"],
    ["a call that cannot be decoded", publishPath, base64(envelop(Uint8Array.of(0x0a, 9)))],
  ] as const) {
    test(`WT4 ${title} is MALFORMED, told as text`, async () => {
      const { response, bytes } = await post(path, body);
      assert.equal(response.headers.get("content-type"), "application/grpc-web-text+proto");
      assert.deepEqual(namesOf(endOf(bytes)), { code: "InvalidArgument", reason: "MALFORMED" });
      assert.deepEqual(harness.reported, []);
    });
  }

  test("WT5 the limit of a message is that of its bytes, not of their text", async () => {
    const message = (bytes: number) => create(SessionMessageSchema, { sessionId: "x".repeat(bytes - 4) });
    const frame = (bytes: number) => base64(encodeFrame(SessionMessageSchema, message(bytes), "binary"));
    assert.equal(splitFrames((await post(sessionPath, frame(maxMessageBytes))).bytes).length, 3);
    const { bytes } = await post(sessionPath, frame(maxMessageBytes + 1));
    assert.deepEqual(namesOf(endOf(bytes)), { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
    const large = create(PublishRequestSchema, { messages: [customMessage("", new Uint8Array(maxMessageBytes))] });
    const unary = await post(publishPath, base64(envelop(toBinary(PublishRequestSchema, large))));
    assert.deepEqual(namesOf(endOf(unary.bytes)), { code: "ResourceExhausted", reason: "MESSAGE_TOO_LARGE" });
  });

  test("WT5 a deadline ends a call, and a client that goes ends it, as in binary", async () => {
    const signals: AbortSignal[] = [];
    const hanging = await startHarness({
      session: () => new Promise(() => {}),
      register: (router) =>
        router.rpc(CodeReviewService.method.publish, (_, { signal }) => {
          signals.push(signal);
          return new Promise(() => {});
        }),
    });
    try {
      for (const path of [sessionPath, publishPath]) {
        const response = await fetch(hanging.url + path, {
          method: "POST",
          headers: { "content-type": contentType, "grpc-timeout": "50m" },
          body: "AAAAAAA=",
        });
        assert.equal(endOf(readText(await response.text()))?.code, 4, path);
      }
      assert.equal(signals.length, 1);
      const abort = new AbortController();
      const left = fetch(hanging.url + publishPath, {
        method: "POST",
        headers: { "content-type": contentType },
        body: "AAAAAAA=",
        signal: abort.signal,
      }).catch(() => undefined);
      while (signals.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      abort.abort();
      await left;
      const [, signal] = signals;
      if (signal?.aborted === false) await new Promise((resolve) => signal.addEventListener("abort", resolve));
    } finally {
      await hanging.stop();
    }
  });

  test("WT5 another verb is told in the protocol's form", async () => {
    for (const path of [sessionPath, publishPath]) {
      const response = await fetch(harness.url + path, { headers: { "content-type": contentType } });
      assert.deepEqual([response.status, response.headers.get("grpc-status")], [405, "12"]);
    }
  });
});
