// What the store holds: its checksums find accidents, and what they let through is still read with care.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { chainStart } from "../../src/durable/chain.ts";
import { packRecords, unpackRecords } from "../../src/durable/packed-records.ts";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { foldRecord, openSnapshot } from "../../src/relay/load.ts";
import { encodeFrame, envelopeBytes } from "../../src/relay/wire/envelope.ts";
import { encodeSnapshot } from "../../src/session/snapshot.ts";
import { emptyState } from "../../src/session/state.ts";
import { textContent } from "../../src/session/text.ts";
import { comment, custom, edit, Session, toldWhole } from "../session/support.ts";
import { fuzz, inputs, seed } from "./support.ts";

const session = new Session();
for (let n = 0; n < 4; n++) {
  session.send("a", edit({ filePath: `${n}.ts`, version: 0, changes: [{ insert: "one\ntwo\n\u{1f600}" }] }));
  session.send("a", edit({ filePath: `${n}.ts`, version: 1, changes: [{ from: 0, to: 3, insert: "three" }] }));
  session.send("b", comment({ commentId: `${n}`, filePath: `${n}.ts`, lineNumber: 2, text: "why?" }));
  session.send("b", custom("t", new Uint8Array(n)));
}
session.send("a", edit({ filePath: "0.ts", version: 2, deleted: true }));
const frames = session.log.map(({ message }) => encodeFrame(SessionMessageSchema, message, "binary"));

describe(`${inputs} inputs to what reads the store, seed ${seed}`, () => {
  test("FZ1 a snapshot: a state, or LOG_DAMAGED", () => {
    const sound = [encodeSnapshot(session.state, session.nowMs, session.limits)];
    fuzz(sound, ["LOG_DAMAGED"], (bytes) => {
      const state = openSnapshot("demo", { seq: 1, bytes });
      for (const { text } of state.files.values()) assert.equal(textContent(text).length, text.length);
      // It can be told again.
      encodeSnapshot(state, session.nowMs, session.limits);
    });
  });

  test("FZ1 a record: folded in, or LOG_DAMAGED", () => {
    /** Onto a session that has the first file, as it was made. */
    const fold = (bytes: Uint8Array) => {
      const state = emptyState("demo", "e");
      for (const frame of frames.slice(0, 1)) foldRecord(state, { seq: 1, frame, payloadHash: 0 }, 8);
      const frame = Buffer.concat([new Uint8Array(envelopeBytes), bytes]);
      foldRecord(state, { seq: 2, frame, payloadHash: 0 }, 8);
      for (const { text } of state.files.values()) assert.equal(textContent(text).length, text.length);
    };
    const edits = session.log.flatMap(({ message: { payload } }, index) =>
      payload.case === "edit" && (index === 1 || payload.value.version === 1) ? [index] : [],
    );
    const others = [2, 3].filter((index) => index < frames.length);
    // Each in the second place, where it is folded in.
    const sound = [...edits, ...others].map((index) => {
      const message = fromBinary(SessionMessageSchema, (frames[index] ?? new Uint8Array()).subarray(envelopeBytes));
      return toBinary(SessionMessageSchema, { ...message, seq: 2n });
    });
    assert.equal(sound.length, 7);
    fuzz(sound, ["LOG_DAMAGED"], fold);
  });

  test("FZ1 FZ3 packed records: those that were packed, or LOG_DAMAGED", () => {
    const records = frames.map((frame, index) => ({ seq: index + 1, frame, payloadHash: index * 2 ** 40 }));
    const { bytes: all } = packRecords(records, chainStart);
    const packs = [
      all,
      packRecords(records.slice(0, 1), chainStart).bytes,
      packRecords(records.slice(0, 5), chainStart).bytes,
    ];
    fuzz(packs, ["LOG_DAMAGED"], (bytes) => {
      const unpacked = [...unpackRecords(bytes, 1, chainStart)].map(({ seq, frame, payloadHash }) => ({
        seq,
        frame: Buffer.from(frame),
        payloadHash,
      }));
      // A checksum of 32 bits can be met by chance, once in 4 * 10^9 inputs.
      assert.deepEqual(
        unpacked,
        records.slice(0, unpacked.length).map((record) => ({ ...record, frame: Buffer.from(record.frame) })),
      );
    });
  });

  test("FZ3 what was logged folds to the state that it was logged from", () => {
    const state = emptyState("demo", "epoch-1");
    for (const [index, frame] of frames.entries()) {
      foldRecord(
        state,
        { seq: index + 1, frame, payloadHash: session.log[index]?.payloadHash ?? 0 },
        session.limits.fileHistory,
      );
    }
    assert.deepEqual(toldWhole(state), toldWhole(session.state));
  });
});
