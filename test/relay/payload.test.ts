import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { ackPayload, createControlEncoder, encodeControl } from "../../src/relay/payload.ts";
import { createBase64Decoder } from "../../src/relay/wire/base64.ts";
import { decodeMessage, envelopeBytes } from "../../src/relay/wire/envelope.ts";

const identity = { sessionId: "demo", userId: "alice", clientId: "phone", key: "phone/alice" };

describe("control frames of one participant", () => {
  for (const form of ["binary", "json", "text"] as const) {
    test(`say the same as those that are encoded whole, in ${form}`, () => {
      const encode = createControlEncoder(identity);
      for (const payload of [
        ackPayload({ clientSeq: 7, seq: 70_000, version: 3 }),
        ackPayload({ clientSeq: 8, seq: 70_001, version: 0 }),
        { case: "heartbeat", value: { sentAt: 5n } } as const,
      ]) {
        const read = (encoded: Uint8Array) => {
          const frame = form === "text" ? createBase64Decoder().decode(encoded) : encoded;
          assert.equal(new DataView(frame.buffer, frame.byteOffset).getUint32(1), frame.length - envelopeBytes);
          return toJson(SessionMessageSchema, decodeMessage(SessionMessageSchema, frame.subarray(envelopeBytes), form));
        };
        assert.deepEqual(read(encode(payload, 1234, form)), read(encodeControl(identity, payload, 1234, form)));
      }
    });
  }
});
