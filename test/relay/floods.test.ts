// Much of what is allowed.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { CodeReviewService, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { joinDeaf } from "./crowd.ts";
import { type Payload, startRelay, type TestRelay } from "./harness.ts";
import { answerTo, custom, enter, withRelay } from "./limits/with-relay.ts";
import { assertAlive, until } from "./operators.ts";

const comment = (commentId: string): Payload => ({ case: "comment", value: { commentId, lineNumber: 1 } });

describe("much of what is allowed", () => {
  test("LM11 comments without a text are bounded by the session's text", async () => {
    await withRelay({ sessionBytes: 10 * 128, fileBytes: 100 }, async (relay) => {
      const alice = await enter(relay);
      for (let n = 1n; n <= 10n; n++) assert.equal(await answerTo(alice, comment(`c${n}`), n), "ack");
      assert.equal(await answerTo(alice, comment("c11"), 11n), "DOCUMENT_TOO_LARGE");
      const deletion: Payload = { case: "comment", value: { commentId: "c1", deleted: true } };
      assert.equal(await answerTo(alice, deletion, 11n), "ack");
      assert.equal(await answerTo(alice, comment("c11"), 12n), "ack");
    });
  });

  test("LM17 of 10,000 cursors a reader that is behind gets the newest, and every record", async () => {
    const relay = await startRelay({
      limits: { messagesPerSecond: 1e6, messagesBurst: 1e6, unackedBytes: 1 << 30, ringBytes: 256 * 1024 },
    });
    try {
      const deaf = await joinDeaf(relay, "deaf", "demo");
      const alice = await enter(relay);
      const large: Payload = { case: "custom", value: { type: "large", data: new Uint8Array(200_000) } };
      for (let n = 1n; n <= 40n; n++) assert.equal(await answerTo(alice, large, n), "ack");
      for (let line = 1; line <= 10_000; line++) alice.send({ case: "cursor", value: { filePath: "a", line } });
      await assertAlive(alice, 41n);
      deaf.socket.resume();
      await until(() => deaf.received().includes("still here"));
      await until(() => deaf.received().includes('"line":10000'));
      const lines = [...deaf.received().matchAll(/"line":(\d+)/g)].map(([, line]) => Number(line));
      assert.ok(lines.length < 100, `${lines.length} of 10,000`);
      assert.deepEqual(
        lines,
        [...lines].sort((a, b) => a - b),
      );
      assert.equal(deaf.received().match(/"type":"large"/g)?.length, 40);
      deaf.socket.destroy();
    } finally {
      await relay.stop();
    }
  });

  test("LM17 cursors beyond the rate are refused, and the stream lives", async () => {
    await withRelay({ messagesPerSecond: 50, messagesBurst: 100 }, async (relay) => {
      const alice = await enter(relay);
      const bob = await enter(relay, "bob");
      for (let line = 1; line <= 120; line++) alice.send({ case: "cursor", value: { filePath: "a", line } });
      const { payload } = await alice.takeMessage("fault");
      assert.ok(payload.case === "fault" && payload.value.reason === "RATE_LIMITED");
      assert.equal(payload.value.message, "rate 50/s");
      relay.advance(10_000);
      assert.equal(await answerTo(alice, custom, 1n), "ack");
      assert.equal(await answerTo(bob, custom, 1n), "ack");
    });
  });
});

describe("what can be put in one message", () => {
  const bytes = 250 * 1024;
  const repeat = (piece: readonly number[]) => {
    const whole = new Uint8Array(Math.floor(bytes / piece.length) * piece.length);
    for (let at = 0; at < whole.length; at += piece.length) whole.set(piece, at);
    return whole;
  };
  const varint = (value: number) => {
    const out = [];
    for (let rest = value; ; rest >>>= 7) {
      if (rest < 128) return [...out, rest];
      out.push((rest & 127) | 128);
    }
  };
  const field = (number: number, content: Uint8Array) =>
    Uint8Array.from([...varint((number << 3) | 2), ...varint(content.length), ...content]);
  const numberOf = (name: string) => SessionMessageSchema.fields.find((one) => one.name === name)?.number ?? 0;
  const changes =
    SessionMessageSchema.fields
      .find((one) => one.name === "edit")
      ?.message?.fields.find((one) => one.name === "changes")?.number ?? 0;

  /** Each is one message's bytes, and how it is answered. */
  const messages: Readonly<Record<string, { readonly message: Uint8Array; readonly reason: string }>> = {
    "a repeated field of 128,000 elements": {
      message: field(numberOf("edit"), Uint8Array.from([10, 1, 97, ...repeat([(changes << 3) | 2, 0])])),
      reason: "EDIT_TOO_LARGE",
    },
    "128,000 unknown fields": { message: repeat([...varint(15 << 3), 1]), reason: "PAYLOAD_UNKNOWN" },
    "250,000 packed numbers of an unknown field": { message: field(100, repeat([1])), reason: "PAYLOAD_UNKNOWN" },
    "the same field 85,000 times": { message: repeat([...varint(numberOf("seq") << 3), 1]), reason: "PAYLOAD_MISSING" },
  };

  for (const [title, { message, reason }] of Object.entries(messages)) {
    test(`LM16 ${title}`, async () => {
      assert.ok(message.length <= 256 * 1024 && message.length > 200_000);
      await withRelay({}, async (relay) => {
        const joining = toBinary(
          SessionMessageSchema,
          create(SessionMessageSchema, { sessionId: "demo", payload: { case: "join", value: { clientId: "raw" } } }),
        );
        // An edit has the next number: it is refused for what it holds.
        const numbered =
          reason === "EDIT_TOO_LARGE"
            ? Uint8Array.from([...varint(numberOf("client_seq") << 3), 1, ...message])
            : message;
        assert.match(await converse(relay, [joining, numbered]), new RegExp(reason));
        const bob = await enter(relay, "bob");
        assert.equal(await answerTo(bob, custom, 1n), "ack");
      });
    });
  }
});

const { collaborativeSession } = CodeReviewService.method;

/** All that comes down on a stream that says these messages, and no more. */
async function converse(relay: TestRelay, messages: readonly Uint8Array[]): Promise<string> {
  const frames = messages.map((message) => {
    const frame = Buffer.alloc(5 + message.length);
    frame.writeUInt32BE(message.length, 1);
    frame.set(message, 5);
    return frame;
  });
  const response = await fetch(`${relay.url}/${collaborativeSession.parent.typeName}/${collaborativeSession.name}`, {
    method: "POST",
    headers: { "content-type": "application/connect+proto", authorization: `Bearer ${await relay.token()}` },
    body: new Uint8Array(Buffer.concat(frames)),
  });
  return Buffer.from(await response.arrayBuffer()).toString("latin1");
}
