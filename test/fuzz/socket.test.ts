// What comes in the messages of a WebSocket, and in the frames below them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { toBinary, toJsonString } from "@bufbuild/protobuf";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createSocketInbound } from "../../src/relay/wire/socket-inbound.ts";
import { SocketQueue } from "../../src/relay/wire/socket-queue.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { mutate } from "../bad-input/mutate.ts";
import { envelope } from "../bad-input/ways.ts";
import { createRandom } from "../support/random.ts";
import { opcodes, RawSocket, socketFrame } from "../support/raw-socket.ts";
import { customMessage, listenerHere, startHarness } from "../wire/harness.ts";
import { inputs, seed, utf8 } from "./support.ts";

const messages = ["", "a", "\u{1f600}"].map((type) => customMessage(type, new Uint8Array(type.length * 20)));
const binary = messages.map((message) => envelope(toBinary(SessionMessageSchema, message)));
const sound = {
  binary: [...binary, Buffer.concat(binary), new Uint8Array()],
  json: messages.map((message) => utf8.encode(toJsonString(SessionMessageSchema, message))),
} as const;
const named = ["MALFORMED", "MESSAGE_TOO_LARGE", "ENCODING_MISSING", "RATE_LIMITED"];

describe(`${inputs} messages of a WebSocket, seed ${seed}`, () => {
  for (const form of ["binary", "json"] as const) {
    test(`FZ1 ${form}: messages of the contract and a last word, or a refusal by name`, async () => {
      const random = createRandom(seed);
      const ends = new Map<string, number>();
      for (let sent = 0; sent < inputs; ) {
        const queue = new SocketQueue({}, { maxMessageBytes: 100, maxWaitingBytes: 1_000 });
        const life = new AbortController();
        const gone = () => life.abort(new Error("gone"));
        const options = { schema: SessionMessageSchema, form, maxMessageBytes: 100, signal: life.signal, gone };
        const inbound = createSocketInbound(queue, options);
        const count = 1 + Math.floor(random() * 4);
        sent += count;
        for (let n = 0; n < count; n++) {
          const bytes = random() < 0.5 ? (sound[form][n % sound[form].length] ?? []) : mutate(random, sound[form]);
          const message = Uint8Array.from(bytes);
          // Some are of the other kind.
          const isText = (form === "json") !== random() < 0.02;
          queue.push(isText ? new TextDecoder().decode(message) : message);
        }
        queue.close();
        let end = "OK";
        try {
          for await (const { message, bytes } of inbound) {
            assert.equal(message.$typeName, SessionMessageSchema.typeName);
            assert.ok(bytes <= 105);
          }
        } catch (error) {
          if (error instanceof BatonError) end = error.reason;
          else if (error !== life.signal.reason) throw error;
          else end = "gone";
          // It stays as it ended.
          await assert.rejects(inbound.next());
        }
        ends.set(end, (ends.get(end) ?? 0) + 1);
      }
      assert.deepEqual(
        [...ends.keys()].filter((end) => end !== "OK" && end !== "gone" && !named.includes(end)),
        [],
      );
      for (const end of ["OK", "gone", "MALFORMED"]) {
        assert.ok((ends.get(end) ?? 0) > inputs / 1_000, `${end}: ${JSON.stringify([...ends])}`);
      }
    });
  }
});

const isServed = listenerHere === "Bun.serve" || !("Bun" in globalThis);
const connections = Math.ceil(inputs / 50);

describe(`${connections} connections of bad frames, seed ${seed}`, { skip: !isServed }, () => {
  test("FZ1 each is closed, its call is over once, and the listener goes on", async () => {
    const harness = await startHarness({ endGraceMs: 100 });
    try {
      const random = createRandom(seed);
      const [first = new Uint8Array()] = binary;
      const frames = [
        socketFrame(first),
        socketFrame(first.subarray(0, 3), { isLast: false }),
        socketFrame(first.subarray(3), { opcode: opcodes.continuation }),
        socketFrame(utf8.encode('{"custom":{}}'), { opcode: opcodes.text }),
        socketFrame(new Uint8Array(2), { opcode: opcodes.ping }),
        socketFrame(Uint8Array.of(3, 0xe8), { opcode: opcodes.close }),
        socketFrame(new Uint8Array(200)),
        socketFrame(new Uint8Array(0), { length: 70_000 }),
      ];
      let opened = 0;
      const codes = new Map<number, number>();
      const attack = async () => {
        while (opened < connections) {
          opened += 1;
          const subprotocols = random() < 0.5 ? "baton.v1" : "baton.v1.json";
          const socket = await RawSocket.open(harness.url, { subprotocols });
          const bytes = Buffer.concat(
            Array.from({ length: 1 + Math.floor(random() * 4) }, () => mutate(random, frames)),
          );
          socket.connection.end(bytes);
          while ((await socket.next()) !== undefined);
          const { code } = await socket.closed;
          codes.set(code, (codes.get(code) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: 16 }, attack));
      await Promise.all(harness.calls.map(({ handled }) => handled));
      assert.equal(harness.calls.length, opened);
      assert.deepEqual(
        harness.calls.filter(({ aborts }) => aborts !== 1),
        [],
      );
      assert.deepEqual(harness.reported, []);
      assert.ok(codes.size > 2, JSON.stringify([...codes]));
      const socket = await RawSocket.open(harness.url);
      await socket.next();
      socket.send(first);
      assert.deepEqual(await socket.next(), Uint8Array.from(first));
      socket.close();
    } finally {
      await harness.stop();
    }
  });
});
