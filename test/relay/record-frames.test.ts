import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import {
  CodeEditSchema,
  CustomSchema,
  type SessionMessage,
  SessionMessageSchema,
  TextChangeSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { ackPayload, encodeControl } from "../../src/relay/payload.ts";
import { encodeRecord } from "../../src/relay/record-frames.ts";
import { encodeFrame, envelopeBytes } from "../../src/relay/wire/envelope.ts";
import { admit, hashPayload } from "../../src/session/admit.ts";
import { hashBytes } from "../../src/session/hash.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { emptyState } from "../../src/session/state.ts";

const unsigned = fc.oneof(
  fc.maxSafeNat(),
  fc.nat(300),
  fc.constantFrom(0, 127, 128, 16_383, 16_384, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 35 - 1, 2 ** 53 - 1),
);
const uint32 = fc.oneof(fc.nat(), fc.constantFrom(0, 127, 128, 2 ** 31, 2 ** 32 - 1));
const int32 = fc.oneof(fc.integer(), fc.constantFrom(0, -1, -(2 ** 31), 2 ** 31 - 1));
/** Also halves of surrogate pairs, and lengths around those at which an encoding changes. */
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 200 }),
  fc.string({
    unit: fc.constantFrom("a", "\u{7f}", "\u{80}", "é", "\u{7ff}", "\u{800}", "€", "😀", "\ud800", "\udc00", "\uffff"),
  }),
  fc.nat(400).map((length) => "x".repeat(length)),
);
const edit = fc
  .record({
    filePath: text,
    lineNumber: int32,
    content: text,
    version: int32,
    changes: fc.array(fc.record({ from: uint32, to: uint32, insert: text }), { maxLength: 4 }),
    deleted: fc.boolean(),
  })
  .map((value) => ({ case: "edit" as const, value: create(CodeEditSchema, value) }));
const custom = fc
  .record({ type: text, data: fc.uint8Array({ maxLength: 20_000 }), ephemeral: fc.boolean() })
  .map((value) => ({ case: "custom" as const, value: create(CustomSchema, value) }));
const payload = fc.oneof(edit, custom);
const record = fc
  .record({
    sessionId: text,
    userId: text,
    clientId: text,
    timestamp: unsigned,
    seq: unsigned,
    clientSeq: unsigned,
    payload,
  })
  .map(({ timestamp, seq, clientSeq, ...rest }) =>
    create(SessionMessageSchema, {
      ...rest,
      timestamp: BigInt(timestamp),
      seq: BigInt(seq),
      clientSeq: BigInt(clientSeq),
    }),
  );
const wholeOf = (message: SessionMessage) => encodeFrame(SessionMessageSchema, message, "binary");

describe("frames that are written by hand", () => {
  test("a record is to the byte what protobuf-es writes", () => {
    fc.assert(
      fc.property(record, (message) => assert.deepEqual(encodeRecord(message), wholeOf(message))),
      { numRuns: 2_000 },
    );
  });

  test("an Ack is to the byte what protobuf-es writes", () => {
    const acked = fc.record({ clientSeq: unsigned, seq: unsigned, version: int32 });
    const identity = fc.record({ sessionId: text, userId: text, clientId: text });
    fc.assert(
      fc.property(identity, acked, unsigned, (who, place, timestampMs) => {
        const message = create(SessionMessageSchema, {
          ...who,
          timestamp: BigInt(timestampMs),
          payload: ackPayload(place),
        });
        assert.deepEqual(
          encodeControl({ ...who, key: "" }, ackPayload(place), timestampMs, "binary"),
          wholeOf(message),
        );
      }),
    );
  });

  test("an admitted edit is a message as protobuf-es makes it, in the range form alone", () => {
    const sent = create(CodeEditSchema, { filePath: "a.ts", lineNumber: 1, content: "one" });
    const payload = { case: "edit", value: sent } as const;
    const who = { userId: "ann", clientId: "tab" };
    const message = { ...who, generation: 1, clientSeq: 1, payload, payloadHash: 1, isAdmin: false };
    const admission = admit(emptyState("demo", "e"), message, 1_700_000_000_000, defaultLimits);
    assert.ok(admission.kind === "admitted");
    assert.deepEqual(
      admission.message,
      create(SessionMessageSchema, {
        ...who,
        sessionId: "demo",
        timestamp: 1_700_000_000_000n,
        clientSeq: 1n,
        seq: 1n,
        payload: { case: "edit", value: { filePath: "a.ts", version: 1, changes: [{ insert: "one" }] } },
      }),
    );
  });

  test("a large record has its whole length in front", () => {
    const value = create(CustomSchema, { type: "a", data: new Uint8Array(200_000).fill(1) });
    const message = create(SessionMessageSchema, { payload: { case: "custom", value } });
    assert.deepEqual(encodeRecord(message), wholeOf(message));
  });

  test("a frame does not change when the next one is written", () => {
    const message = (type: string) =>
      create(SessionMessageSchema, { sessionId: "s", payload: { case: "custom", value: { type } } });
    const first = encodeRecord(message("first"));
    encodeRecord(message("second one"));
    assert.deepEqual(first, wholeOf(message("first")));
  });

  test("fields that this version does not know are kept, wherever they stand", () => {
    const $unknown = [{ no: 99, wireType: 0, data: Uint8Array.of(5) }];
    const type = create(CustomSchema, { type: "a" });
    const change = create(TextChangeSchema, { from: 1 });
    const path = create(CodeEditSchema, { filePath: "a" });
    const changed = create(CodeEditSchema, { changes: [{ ...change, $unknown }] });
    for (const message of [
      create(SessionMessageSchema, { payload: { case: "custom", value: { ...type, $unknown } } }),
      create(SessionMessageSchema, { payload: { case: "edit", value: { ...path, $unknown } } }),
      create(SessionMessageSchema, { payload: { case: "edit", value: changed } }),
      { ...create(SessionMessageSchema, { payload: { case: "custom", value: type } }), $unknown },
    ]) {
      assert.deepEqual(encodeRecord(message), wholeOf(message));
      const known = fromBinary(SessionMessageSchema, encodeRecord(message).subarray(envelopeBytes), {
        readUnknownFields: false,
      });
      assert.notDeepEqual(wholeOf(known), wholeOf(message));
    }
  });

  test("comments and control messages are left to protobuf-es", () => {
    const message = create(SessionMessageSchema, { payload: { case: "comment", value: { commentId: "c" } } });
    assert.deepEqual(encodeRecord(message), wholeOf(message));
  });
});

test("OR8 the hash of a payload is that of its bytes as protobuf-es writes them, under its field's number", () => {
  const bytesOf = ({ case: kind, value }: Extract<SessionMessage["payload"], { case: "edit" | "custom" }>) =>
    kind === "edit" ? toBinary(CodeEditSchema, value) : toBinary(CustomSchema, value);
  fc.assert(
    fc.property(payload, (sent) => {
      assert.equal(hashPayload(sent), hashBytes(bytesOf(sent), sent.case === "edit" ? 4 : 11));
    }),
    { numRuns: 500 },
  );
});
