import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { createMemoryLog } from "../../../src/durable/log-memory.ts";
import { SessionMessageSchema } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { edit, type Payload } from "../harness.ts";
import { type AtLimit, answerTo, enter, withRelay } from "./with-relay.ts";

const text = (length: number) => "x".repeat(length);
const comment = (commentId: string, body: string): Payload => ({
  case: "comment",
  value: { commentId, lineNumber: 1, text: body },
});

export const sizes = {
  async messageBytes() {
    const sized = (bytes: number, clientSeq: bigint): Payload => {
      const of = (data: number): Payload => ({ case: "custom", value: { data: new Uint8Array(data) } });
      const encoded = (data: number) =>
        toBinary(SessionMessageSchema, create(SessionMessageSchema, { clientSeq, payload: of(data) })).length;
      const data = bytes - (encoded(bytes) - bytes);
      assert.equal(encoded(data), bytes);
      return of(data);
    };
    await withRelay({ messageBytes: 1000, editBytes: 100 }, async (relay) => {
      const alice = await enter(relay);
      assert.equal(await answerTo(alice, sized(1000, 1n), 1n), "ack");
      assert.equal(await answerTo(alice, sized(1001, 2n), 2n), "ended MESSAGE_TOO_LARGE");
    });
  },

  async editBytes() {
    await withRelay({ editBytes: 100 }, async (relay) => {
      const alice = await enter(relay);
      assert.equal(await answerTo(alice, edit("a", 0, 0, 0, text(101)), 1n), "EDIT_TOO_LARGE");
      assert.equal(await answerTo(alice, edit("a", 0, 0, 0, text(100)), 1n), "ack");
    });
  },

  async editChanges() {
    const changing = (count: number): Payload => ({
      case: "edit",
      value: {
        filePath: "a",
        version: 1,
        changes: Array.from({ length: count }, (_, n) => ({ from: 2 * n, to: 2 * n, insert: "y" })),
      },
    });
    await withRelay({ editChanges: 3 }, async (relay) => {
      const alice = await enter(relay);
      assert.equal(await answerTo(alice, edit("a", 0, 0, 0, text(20)), 1n), "ack");
      assert.equal(await answerTo(alice, changing(4), 2n), "EDIT_TOO_LARGE");
      assert.equal(await answerTo(alice, changing(3), 2n), "ack");
    });
  },

  async fileBytes() {
    await withRelay({ fileBytes: 100 }, async (relay) => {
      const alice = await enter(relay);
      assert.equal(await answerTo(alice, edit("a", 0, 0, 0, text(99)), 1n), "ack");
      assert.equal(await answerTo(alice, edit("a", 1, 0, 0, "xy"), 2n), "DOCUMENT_TOO_LARGE");
      assert.equal(await answerTo(alice, edit("a", 1, 0, 0, "x"), 2n), "ack");
    });
  },

  async sessionBytes() {
    await withRelay({ sessionBytes: 100 + 2 * 128 + 10 }, async (relay) => {
      const alice = await enter(relay);
      assert.equal(await answerTo(alice, edit("a", 0, 0, 0, text(50)), 1n), "ack");
      assert.equal(await answerTo(alice, edit("b", 0, 0, 0, text(50)), 2n), "ack");
      // What a comment costs beside its text bounds how many there can be: of empty ones too.
      assert.equal(await answerTo(alice, comment("1", ""), 3n), "ack");
      assert.equal(await answerTo(alice, comment("2", text(10)), 4n), "ack");
      assert.equal(await answerTo(alice, edit("b", 1, 0, 0, "x"), 5n), "DOCUMENT_TOO_LARGE");
      assert.equal(await answerTo(alice, comment("3", ""), 5n), "DOCUMENT_TOO_LARGE");
      assert.equal(await answerTo(alice, comment("2", text(11)), 5n), "DOCUMENT_TOO_LARGE");
      assert.equal(await answerTo(alice, edit("b", 1, 0, 1, ""), 5n), "ack");
      assert.equal(await answerTo(alice, edit("a", 1, 0, 0, "x"), 6n), "ack");
    });
  },

  async unackedBytes() {
    const message = (bytes: number): Payload => ({ case: "custom", value: { data: new Uint8Array(bytes) } });
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const log = createMemoryLog(Date.now);
    const held: typeof log = {
      ...log,
      append: async (sessionId, batch) => {
        await released;
        return await log.append(sessionId, batch);
      },
    };
    // Each counts with what stands around it on the wire.
    const limit = 2 * (1000 + 50);
    await withRelay(
      { unackedBytes: limit },
      async (relay) => {
        const alice = await enter(relay);
        alice.send(message(1000), { clientSeq: 1n });
        alice.send(message(1000), { clientSeq: 2n });
        const room = relay.relay.rooms.present("demo");
        const unacked = () => [...(room?.participants.values() ?? [])][0]?.unackedBytes ?? 0;
        while (unacked() < 2000) await new Promise((resolve) => setTimeout(resolve, 1));
        assert.ok(unacked() <= limit);
        assert.equal(await answerTo(alice, message(100), 3n), "UNACKED_LIMIT");
        release();
        for (const clientSeq of [1n, 2n]) assert.equal((await alice.take("ack")).clientSeq, clientSeq);
        assert.equal(await answerTo(alice, message(5000), 3n), "ack");
      },
      { log: held },
    );
  },

  async tokenBytes() {
    await withRelay({}, async (wide) => {
      const token = await wide.token({ sessions: ["demo"] });
      const nowMs = wide.now();
      for (const [tokenBytes, reason] of [
        [token.length, undefined],
        [token.length - 1, "TOKEN_INVALID"],
      ] as const) {
        await withRelay({ tokenBytes }, async (relay) => {
          relay.advance(nowMs - relay.now());
          const stream = await relay.join({ token });
          if (reason === undefined) await stream.take("welcome");
          else assert.equal((await stream.ended).fault?.reason, reason);
        });
      }
    });
  },

  async ringBytes() {
    const message: Payload = { case: "custom", value: { data: new Uint8Array(500) } };
    let frame = 0;
    /** How many frames a ring of this many bytes holds in the end. */
    const held = async (ringBytes: number) => {
      let entries = 0;
      await withRelay({ ringBytes }, async (relay) => {
        const alice = await enter(relay);
        for (let n = 1n; n <= 9n; n++) assert.equal(await answerTo(alice, message, n), "ack");
        const ring = relay.relay.rooms.present("demo")?.ring;
        assert.ok(ring);
        entries = ring.end - ring.first;
        frame = ring.runs(ring.end - 1, ring.end)[0]?.bytes.length ?? 0;
      });
      return entries;
    };
    assert.ok((await held(1e6)) >= 9);
    assert.equal(await held(4 * frame), 4);
    assert.equal(await held(4 * frame - 1), 3);
  },
} satisfies Record<string, AtLimit>;
