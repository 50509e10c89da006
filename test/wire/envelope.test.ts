import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromJsonString } from "@bufbuild/protobuf";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { decodeMessage, encodeFrame, frameInForm } from "../../src/relay/wire/envelope.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { customMessage } from "./harness.ts";

const message = customMessage("note", new Uint8Array([1, 2, 3]));
const utf8 = new TextEncoder();

function reasonOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof BatonError);
    return error.reason;
  }
  return "none";
}

/** All messages of a body that comes in these pieces. */
function readAll(pieces: readonly Uint8Array[], maxMessageBytes = 1_000_000) {
  const reader = createEnvelopeReader(maxMessageBytes);
  const messages: Uint8Array[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    for (let data = reader.take(); data !== undefined; data = reader.take()) messages.push(data);
  }
  return { messages, isIncomplete: reader.isIncomplete };
}

const head = (flags: number, length: number) =>
  new Uint8Array([flags, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255]);

describe("frames", () => {
  test("WR1 a frame is a byte of flags, four of length and the message", () => {
    const frame = encodeFrame(SessionMessageSchema, message, "binary");
    assert.deepEqual(frame.subarray(0, 5), head(0, frame.length - 5));
    assert.deepEqual(decodeMessage(SessionMessageSchema, frame.subarray(5), "binary"), message);
  });

  test("WR1 the JSON form of a frame says the same message", () => {
    const json = frameInForm(SessionMessageSchema, encodeFrame(SessionMessageSchema, message, "binary"), "json");
    assert.deepEqual(json, encodeFrame(SessionMessageSchema, message, "json"));
    assert.deepEqual(json.subarray(0, 5), head(0, json.length - 5));
    assert.deepEqual(fromJsonString(SessionMessageSchema, new TextDecoder().decode(json.subarray(5))), message);
  });
});

describe("cutting a body into messages", () => {
  const bodies = [0, 1, 5, 300, 70_000].map((length, index) => new Uint8Array(length).fill(index + 1));
  const stream = Buffer.concat(bodies.flatMap((body) => [head(0, body.length), body]));

  for (const size of [1, 2, 3, 4, 5, 6, 7, 1_000, 65_536, stream.length]) {
    test(`WR2 pieces of ${size} bytes give the same messages`, () => {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < stream.length; at += size) pieces.push(stream.subarray(at, at + size));
      const { messages, isIncomplete } = readAll(pieces);
      assert.deepEqual(
        messages.map((data) => Buffer.from(data)),
        bodies.map((body) => Buffer.from(body)),
      );
      assert.equal(isIncomplete, false);
    });
  }

  test("WR2 a body that ends within a message is told from one that does not", () => {
    for (const cut of [1, 4, 5, 7]) {
      assert.equal(readAll([Buffer.concat([head(0, 3), new Uint8Array(3)]).subarray(0, cut)]).isIncomplete, true);
    }
    assert.equal(readAll([]).isIncomplete, false);
  });

  test("WR3 a message of the limit passes, one byte more is refused by its prefix alone", () => {
    assert.equal(readAll([head(0, 100), new Uint8Array(100)], 100).messages.length, 1);
    assert.equal(
      reasonOf(() => readAll([head(0, 101)], 100)),
      "MESSAGE_TOO_LARGE",
    );
    assert.equal(
      reasonOf(() => readAll([head(0, 0xffffffff)], 100)),
      "MESSAGE_TOO_LARGE",
    );
  });

  test("WR4 unknown flags are refused, and named", () => {
    for (const flags of [2, 3, 4, 64, 128, 129, 255]) {
      assert.equal(
        reasonOf(() => readAll([head(flags, 0)])),
        "MALFORMED",
        `flags ${flags}`,
      );
    }
    assert.throws(() => readAll([head(2, 0)]), /unexpected flags 0x02$/);
    assert.throws(() => readAll([head(129, 0)]), /unexpected flags 0x81$/);
  });
});

describe("decoding", () => {
  const secret = "swordfish";
  const wrong: Record<string, [Uint8Array, "binary" | "json"]> = {
    "a truncated field": [new Uint8Array([0x0a, 20, ...utf8.encode(secret)]), "binary"],
    "invalid UTF-8 in a string": [new Uint8Array([0x0a, 11, ...utf8.encode(secret), 0xff, 0xfe]), "binary"],
    "a group that never ends": [new Uint8Array([0x0b]), "binary"],
    "field number 0": [new Uint8Array([0x02, 0]), "binary"],
    "a varint of 11 bytes": [new Uint8Array([0x10, ...new Array(10).fill(0xff), 1]), "binary"],
    "no JSON": [utf8.encode(`{"sessionId": ${secret}`), "json"],
    "JSON of another type": [utf8.encode(`{"timestamp": "${secret}"}`), "json"],
    "a JSON array": [utf8.encode(`["${secret}"]`), "json"],
    "a key twice": [utf8.encode(`{"sessionId": "${secret}", "sessionId": ""}`), "json"],
    "invalid UTF-8 in JSON": [new Uint8Array([...utf8.encode('{"sessionId": "'), 0xff, 0x22, 0x7d]), "json"],
    "two payloads": [utf8.encode('{"join": {}, "heartbeat": {}}'), "json"],
  };
  for (const [title, [data, form]] of Object.entries(wrong)) {
    test(`WR5 ${title} is MALFORMED, and the text says nothing of the content`, () => {
      try {
        decodeMessage(SessionMessageSchema, data, form);
      } catch (error) {
        assert.ok(error instanceof BatonError);
        assert.equal(error.reason, "MALFORMED");
        assert.ok(!error.message.includes(secret));
        assert.equal(error.cause, undefined);
        return;
      }
      assert.fail("it was decoded");
    });
  }

  test("WR5 unknown fields are no fault, in either form", () => {
    assert.equal(decodeMessage(SessionMessageSchema, new Uint8Array([0xf8, 0x3e, 1]), "binary").seq, 0n);
    assert.equal(decodeMessage(SessionMessageSchema, utf8.encode('{"later": [1, {}]}'), "json").seq, 0n);
  });

  test("WR6 groups nested more than 100 deep are MALFORMED, also in unknown fields", () => {
    const nested = (depth: number) =>
      new Uint8Array([...new Array(depth).fill([0xfb, 0x3e]), ...new Array(depth).fill([0xfc, 0x3e])].flat());
    decodeMessage(SessionMessageSchema, nested(90), "binary");
    assert.equal(
      reasonOf(() => decodeMessage(SessionMessageSchema, nested(101), "binary")),
      "MALFORMED",
    );
  });

  test("WR6 brackets nested more than 100 deep in JSON are MALFORMED, also in unknown fields", () => {
    const nested = (depth: number) => utf8.encode(`{"later": ${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`);
    decodeMessage(SessionMessageSchema, nested(100), "json");
    assert.equal(
      reasonOf(() => decodeMessage(SessionMessageSchema, nested(101), "json")),
      "MALFORMED",
    );
  });

  test("WR6 brackets in strings do not count", () => {
    const text = `\\"${"[{".repeat(200)}\\\\`;
    const { sessionId } = decodeMessage(SessionMessageSchema, utf8.encode(`{"sessionId": "${text}"}`), "json");
    assert.equal(sessionId, `"${"[{".repeat(200)}\\`);
  });
});
