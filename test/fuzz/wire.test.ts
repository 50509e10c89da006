// What comes over the network. test/bad-input asks the same over real connections.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, toBinary, toJsonString } from "@bufbuild/protobuf";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { decodePageToken, encodePageToken } from "../../src/relay/admin/page-token.ts";
import { createBase64Decoder, encodeBase64 } from "../../src/relay/wire/base64.ts";
import { decodeMessage, readJson } from "../../src/relay/wire/envelope.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import * as connect from "../../src/relay/wire/protocol-connect.ts";
import * as grpcWeb from "../../src/relay/wire/protocol-grpc-web.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { edit } from "../relay/harness.ts";
import { fuzz, inputs, seed, utf8 } from "./support.ts";

const messages = [
  create(SessionMessageSchema, { sessionId: "demo", clientSeq: 7n, payload: edit("a.ts", 1, 2, 3, "text \u{1f600}") }),
  create(SessionMessageSchema, { payload: { case: "join", value: { clientId: "c", lastSeq: 9n } } }),
  create(SessionMessageSchema, { payload: { case: "custom", value: { type: "t", data: new Uint8Array(40) } } }),
  create(SessionMessageSchema, {
    payload: { case: "comment", value: { commentId: "n", text: "why?", resolved: true } },
  }),
  create(SessionMessageSchema, {
    payload: { case: "welcome", value: { participants: [{ userId: "u" }, { userId: "v" }] } },
  }),
];

describe(`${inputs} inputs to what reads the wire, seed ${seed}`, () => {
  test("FZ1 FZ3 protobuf: a message that says the same when it is written and read again, or MALFORMED", () => {
    fuzz(
      messages.map((message) => toBinary(SessionMessageSchema, message)),
      ["MALFORMED"],
      (bytes) => {
        const written = toBinary(SessionMessageSchema, decodeMessage(SessionMessageSchema, bytes, "binary"));
        assert.deepEqual(toBinary(SessionMessageSchema, fromBinary(SessionMessageSchema, written)), written);
      },
    );
  });

  test("FZ1 FZ3 JSON: a message that says the same when it is written and read again, or MALFORMED", () => {
    fuzz(
      messages.map((message) => utf8.encode(toJsonString(SessionMessageSchema, message))),
      ["MALFORMED"],
      (bytes) => {
        const written = toJsonString(SessionMessageSchema, decodeMessage(SessionMessageSchema, bytes, "json"));
        assert.equal(
          toJsonString(SessionMessageSchema, decodeMessage(SessionMessageSchema, utf8.encode(written), "json")),
          written,
        );
      },
    );
  });

  test("FZ1 JSON: what is let through to the parser is its text, and its numbers are exact", () => {
    const sound = ['{"a":[1,2.5e3,-9007199254740991,"9007199254740993"]}', '"\\u0041\\"{["', "[[[[]]]]"];
    fuzz(
      sound.map((text) => utf8.encode(text)),
      ["MALFORMED"],
      (bytes) => {
        let text = "";
        try {
          text = readJson(bytes);
        } catch (error) {
          // Of bytes that are no UTF-8: the door to a message is `decodeMessage`, which names it.
          if (error instanceof TypeError) throw new BatonError("MALFORMED");
          throw error;
        }
        assert.equal(text, new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
      },
    );
  });

  test("FZ1 FZ2 envelopes: however the body is cut, the same messages and the same end", () => {
    const sound = [[], [1], [1, 2, 3], Array.from({ length: 200 }, (_, n) => n & 255)].map((data) =>
      enveloped(Uint8Array.from(data)),
    );
    const all = Buffer.concat(sound);
    fuzz([...sound, all], ["MALFORMED", "MESSAGE_TOO_LARGE", "ENCODING_MISSING"], (bytes, random) => {
      const whole = readAll(bytes, () => bytes.length + 1);
      const cut = readAll(bytes, () => 1 + Math.floor(random() * 9));
      assert.deepEqual(cut, whole);
      if (whole.refused !== undefined) throw whole.refused;
    });
  });

  test("FZ1 FZ2 base64: in pieces the same as in one, and the same as the platform reads it", () => {
    const sound = ["", "AA==", "AAA=", "AAAA", "AA==AAA=AAAA", "SGVsbG8gd29ybGQ="].map((text) => utf8.encode(text));
    fuzz(sound, ["MALFORMED"], (text, random) => {
      const decoder = createBase64Decoder();
      const parts: Uint8Array[] = [];
      for (let at = 0; at < text.length; ) {
        const size = 1 + Math.floor(random() * 5);
        parts.push(decoder.decode(text.subarray(at, at + size)));
        at += size;
      }
      const whole = createBase64Decoder();
      const bytes = whole.decode(text);
      assert.deepEqual(Buffer.concat(parts), Buffer.from(bytes));
      assert.equal(decoder.isIncomplete, whole.isIncomplete);
      if (whole.isIncomplete) throw new BatonError("MALFORMED");
      const quads = Buffer.from(text).toString("latin1").match(/.{4}/g) ?? [];
      assert.deepEqual(Buffer.from(bytes), Buffer.concat(quads.map((quad) => Buffer.from(quad, "base64"))));
    });
  });

  test("FZ3 base64: what is written is read again", () => {
    fuzz([new Uint8Array(3), new Uint8Array(40).fill(255)], ["MALFORMED"], (bytes) => {
      const text = encodeBase64(bytes);
      assert.equal(Buffer.from(text).toString("latin1"), Buffer.from(bytes).toString("base64"));
      assert.deepEqual(createBase64Decoder().decode(text), new Uint8Array(bytes));
      // Every input has a text: this keeps count of those that are not empty.
      if (bytes.length === 0) throw new BatonError("MALFORMED");
    });
  });

  test("FZ1 page tokens: a session's name, or REQUEST_INVALID", () => {
    const sound = ["demo", "team-a/one", "a"].map((name) => utf8.encode(encodePageToken(name)));
    fuzz(sound, ["REQUEST_INVALID"], (bytes) => {
      assert.match(decodePageToken(Buffer.from(bytes).toString("latin1"), ""), /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/);
    });
  });

  for (const [title, header, parse, sound] of [
    ["connect-timeout-ms", "connect-timeout-ms", connect.parseDeadlineMs, ["1000", "0", "9999999999"]],
    ["grpc-timeout", "grpc-timeout", grpcWeb.parseDeadlineMs, ["10S", "99999999n", "1H"]],
  ] as const) {
    test(`FZ1 ${title}: a time or MALFORMED`, () => {
      fuzz(
        sound.map((text) => utf8.encode(text)),
        ["MALFORMED"],
        (bytes) => {
          const text = Buffer.from(bytes)
            .toString("latin1")
            .replace(/[^\x20-\x7e]/g, "~");
          const deadlineMs = parse(new Headers({ [header]: text }));
          assert.ok(deadlineMs === undefined || (deadlineMs >= 0 && !Number.isNaN(deadlineMs)), text);
        },
      );
    });
  }
});

function enveloped(data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(5 + data.length);
  bytes.writeUInt32BE(data.length, 1);
  bytes.set(data, 5);
  return bytes;
}

interface ReadEnvelopes {
  readonly messages: readonly string[];
  readonly isIncomplete: boolean;
  readonly refused: BatonError | undefined;
}

function readAll(bytes: Uint8Array, size: () => number): ReadEnvelopes {
  const reader = createEnvelopeReader(256);
  const messages: string[] = [];
  try {
    for (let at = 0; at < bytes.length; ) {
      const next = size();
      reader.push(bytes.subarray(at, at + next));
      at += next;
      for (let data = reader.take(); data !== undefined; data = reader.take())
        messages.push(Buffer.from(data).toString("hex"));
    }
    return { messages, isIncomplete: reader.isIncomplete, refused: undefined };
  } catch (error) {
    if (error instanceof BatonError)
      return { messages, isIncomplete: false, refused: new BatonError(error.reason, error.message) };
    throw error;
  }
}
