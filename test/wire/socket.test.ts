import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fromBinary, fromJsonString, toBinary, toJsonString } from "@bufbuild/protobuf";
import { endStreamFlag, endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { concat } from "../../src/relay/concat.ts";
import type { StreamHandler } from "../../src/relay/stream.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { batonErrorFrom } from "../../src/relay/wire/errors.ts";
import { BatonError, type Reason, reasons } from "../../src/session/reasons.ts";
import { opcodes, RawSocket, shakeHands, socketFrame } from "../support/raw-socket.ts";
import {
  customMessage,
  type Harness,
  type HarnessOptions,
  listenerHere,
  maxMessageBytes,
  startHarness,
  typeOf,
} from "./harness.ts";
import { splitFrames } from "./raw.ts";

type Handler = StreamHandler<typeof SessionMessageSchema>;

/** Bun's `node:http` is no ground for them. */
const isServed = listenerHere === "Bun.serve" || !("Bun" in globalThis);
const skip = !isServed;
/** Deno looks at handshakes and frames itself, and less closely. */
const unlessDeno = { skip: listenerHere === "Deno.serve" };
const exceptDeno = unlessDeno.skip ? " (skipped: Deno does that itself, and less closely)" : "";
const where = isServed ? "" : " (skipped: Bun's node:http serves no WebSocket)";

const running: Harness[] = [];
async function start(session?: Handler, options: HarnessOptions = {}): Promise<Harness> {
  const harness = await startHarness({ ...options, ...(session && { session }) });
  running.push(harness);
  return harness;
}
after(() => Promise.all(running.map((harness) => harness.stop())));

let echoing: Harness;
before(async () => {
  echoing = await start();
});

const frameOf = (message: SessionMessage) => encodeFrame(SessionMessageSchema, message, "binary");
const jsonOf = (message: SessionMessage) => toJsonString(SessionMessageSchema, message);

/** What a binary message holds: the types of its messages, or the reason of the end. */
function typesIn(message: Uint8Array | string | undefined): string[] {
  if (!(message instanceof Uint8Array)) return [`no bytes: ${message}`];
  return splitFrames(message).map(({ flags, data }) => {
    if (flags !== endStreamFlag) return typeOf(fromBinary(SessionMessageSchema, data));
    const { error } = endStreamFromJson(data);
    return `end ${error === undefined ? "OK" : batonErrorFrom(error)?.reason}`;
  });
}

async function allTypes(socket: RawSocket): Promise<string[]> {
  const types: string[] = [];
  for (let message = await socket.next(); message !== undefined; message = await socket.next()) {
    types.push(...typesIn(message));
  }
  return types;
}

/** Sends these, and tells how it ended. */
async function endAfter(
  harness: Harness,
  send: (socket: RawSocket) => void,
  subprotocols = "baton.v1",
): Promise<{ readonly types: string[]; readonly code: number; readonly reason: string }> {
  const socket = await RawSocket.open(harness.url, { subprotocols });
  send(socket);
  const types = subprotocols === "baton.v1" ? await allTypes(socket) : [];
  return { types, ...(await socket.closed) };
}

describe(`what is spoken${where}`, { skip }, () => {
  test("WK1 baton.v1: frames in binary messages, in full duplex", async () => {
    const socket = await RawSocket.open(echoing.url);
    assert.equal(socket.handshake.headers.get("sec-websocket-protocol"), "baton.v1");
    assert.deepEqual(typesIn(await socket.next()), ["heartbeat"]);
    for (const round of ["1", "2", "3"]) {
      socket.send(frameOf(customMessage(round)));
      assert.deepEqual(typesIn(await socket.next()), [round]);
    }
    const { call } = echoing.calls.at(-1) ?? {};
    assert.deepEqual([call?.protocol, call?.outlet.form], ["websocket", "binary"]);
    socket.close();
    assert.equal((await socket.closed).code, 1000);
  });

  test("WK1 baton.v1.json: one message of JSON in each text message", async () => {
    const socket = await RawSocket.open(echoing.url, { subprotocols: "baton.v1.json" });
    assert.equal(socket.handshake.headers.get("sec-websocket-protocol"), "baton.v1.json");
    assert.equal(await socket.next(), '{"heartbeat":{}}');
    socket.send(jsonOf(customMessage("\u{1f600}", Uint8Array.of(1, 2))));
    const answer = await socket.next();
    assert.ok(typeof answer === "string");
    assert.equal(typeOf(fromJsonString(SessionMessageSchema, answer)), "\u{1f600}");
    assert.equal(echoing.calls.at(-1)?.call.outlet.form, "json");
    socket.close();
  });

  test("WK1 a message may hold several frames, and a write of several is one message; in JSON each its own", async () => {
    const harness = await start(async ({ inbound, outlet }) => {
      const said: string[] = [];
      for await (const { message } of inbound) said.push(typeOf(message));
      const frames = said.map((type) => encodeFrame(SessionMessageSchema, customMessage(type), outlet.form));
      await outlet.write(concat(frames));
    });
    const binary = await RawSocket.open(harness.url);
    binary.send(concat([frameOf(customMessage("a")), frameOf(customMessage("b")), frameOf(customMessage("c"))]));
    binary.send(new Uint8Array());
    assert.deepEqual(typesIn(await binary.next()), ["a", "b", "c"]);
    const json = await RawSocket.open(harness.url, { subprotocols: "baton.v1.json" });
    json.send(jsonOf(customMessage("a")));
    json.send(jsonOf(customMessage("b")));
    json.send("");
    assert.equal(await json.next(), '{"custom":{"type":"a"}}');
    assert.equal(await json.next(), '{"custom":{"type":"b"}}');
    assert.equal(await json.next(), undefined);
    assert.equal((await json.closed).code, 1000);
  });

  test(
    `WK2 of what is offered the first that is served is selected, and no token is told again${exceptDeno}`,
    unlessDeno,
    async () => {
      for (const [subprotocols, selected] of [
        ["bearer.aaa.bbb.ccc, baton.v1", "baton.v1"],
        ["bearer.aaa.bbb.ccc,baton.v1.json,baton.v1", "baton.v1.json"],
        ["soap, baton.v1, bearer.aaa.bbb.ccc", "baton.v1"],
      ] as const) {
        const headers = { upgrade: "WebSocket", connection: "keep-alive, Upgrade" };
        const { handshake, connection } = await RawSocket.open(echoing.url, { subprotocols, headers });
        assert.equal(handshake.headers.get("sec-websocket-protocol"), selected);
        assert.equal(
          [...handshake.headers.values()].some((value) => value.includes("bearer")),
          false,
        );
        connection.destroy();
      }
    },
  );

  test("WK4 no subprotocol that is served: 400, with those that are", async () => {
    for (const subprotocols of ["", "soap", "baton.v2", "bearer.aaa.bbb.ccc", "BATON.V1"]) {
      const { status, body, connection } = await shakeHands(echoing.url, { subprotocols });
      assert.equal(status, 400, subprotocols);
      assert.match(body, /baton\.v1, baton\.v1\.json/);
      assert.equal(body.includes("aaa"), false);
      connection.destroy();
    }
  });

  test(`WK4 what is no sound handshake is refused${exceptDeno}`, unlessDeno, async () => {
    const calls = echoing.calls.length;
    for (const headers of [
      { "sec-websocket-key": undefined },
      { "sec-websocket-key": "short" },
      { "sec-websocket-version": "7" },
      { "sec-websocket-version": undefined },
    ]) {
      const { status, connection } = await shakeHands(echoing.url, { headers });
      assert.ok(status >= 400 && status < 500, `${JSON.stringify(headers)}: ${status}`);
      connection.destroy();
    }
    assert.equal(echoing.calls.length, calls);
  });

  test("WK4 other methods and paths have no WebSocket", async () => {
    for (const [path, status] of [
      ["/codereview.v1.CodeReviewService/Subscribe", 405],
      ["/codereview.v1.CodeReviewService/Publish", 405],
      ["/codereview.v1.CodeReviewService/collaborativesession", 404],
    ] as const) {
      const answer = await shakeHands(echoing.url, { path });
      assert.equal(answer.status, status, path);
      answer.connection.destroy();
    }
  });
});

test(`WK4 a listener that cannot serve them says so: ${listenerHere}`, { skip: isServed }, async () => {
  const { status, body, connection } = await shakeHands(echoing.url);
  assert.equal(status, 501);
  assert.match(body, /serves no WebSocket/);
  connection.destroy();
});

describe(`how it ends${where}`, { skip }, () => {
  test("WK5 OK is closed 1000", async () => {
    const harness = await start(async ({ outlet }) => outlet.end());
    assert.deepEqual(await endAfter(harness, () => undefined), { types: [], code: 1000, reason: "" });
  });

  test("WK5 every reason: the last message as Connect's end, then 4000 and the code's number with the reason", async () => {
    let reason: Reason = "DRAIN";
    const harness = await start(async ({ outlet }) =>
      outlet.end(new BatonError(reason, undefined, { retryAfterMs: 5 })),
    );
    for (reason of Object.keys(reasons).filter((name): name is Reason => Object.hasOwn(reasons, name))) {
      const { types, ...close } = await endAfter(harness, () => undefined);
      assert.deepEqual(types, [`end ${reason}`]);
      assert.ok(close.code > 4000 && close.code <= 4016, `${reason}: ${close.code}`);
      assert.ok(close.reason.startsWith(`${reason}: `));
      assert.ok(new TextEncoder().encode(close.reason).length <= 123);
      const json = await RawSocket.open(harness.url, { subprotocols: "baton.v1.json" });
      const text = await json.next();
      assert.ok(typeof text === "string" && text.startsWith('{"error":{'));
      const { error } = endStreamFromJson(new TextEncoder().encode(text));
      assert.equal(error && batonErrorFrom(error)?.reason, reason);
      assert.equal(error && batonErrorFrom(error)?.retryAfterMs, 5);
      assert.deepEqual(await json.closed, close);
    }
  });

  test("WK5 a long reason is cut at a character, within what a close frame holds", async () => {
    for (const text of ["x".repeat(500), "\u{1f600}".repeat(100), "\u00e9".repeat(200)]) {
      const harness = await start(async ({ outlet }) => outlet.end(new BatonError("MALFORMED", text)));
      const { code, reason } = await endAfter(harness, () => undefined);
      assert.equal(code, 4003);
      const bytes = new TextEncoder().encode(reason).length;
      assert.ok(bytes <= 123 && bytes > 119, `${bytes}`);
      assert.ok(`MALFORMED: ${text}`.startsWith(reason));
    }
  });

  test("WK5 what is no error of the relay's is INTERNAL, with the stream's id alone", async () => {
    const harness = await start(() => Promise.reject(new Error("SWORDFISH")));
    const { types, code, reason } = await endAfter(harness, () => undefined);
    assert.deepEqual(types, ["end INTERNAL"]);
    assert.equal(code, 4013);
    assert.match(reason, /^INTERNAL: internal error; stream [\w-]{12}$/);
    assert.equal(harness.reported.length, 1);
  });

  test("WK6 an empty message closes the client's half: what it sent is answered, then it is closed 1000", async () => {
    for (const subprotocols of ["baton.v1", "baton.v1.json"]) {
      const socket = await RawSocket.open(echoing.url, { subprotocols });
      const isJson = subprotocols === "baton.v1.json";
      for (const type of ["1", "2"]) socket.send(isJson ? jsonOf(customMessage(type)) : frameOf(customMessage(type)));
      socket.send(isJson ? "" : new Uint8Array());
      // Nobody reads this any more.
      socket.send(isJson ? "SWORDFISH" : Uint8Array.of(9));
      const came: unknown[] = [];
      for (let next = await socket.next(); next !== undefined; next = await socket.next()) came.push(next);
      assert.equal(came.length, 3);
      assert.deepEqual(await socket.closed, { code: 1000, reason: "" });
    }
  });
});

const sized = (bytes: number) => {
  const empty = toBinary(SessionMessageSchema, customMessage("x", new Uint8Array(bytes))).length;
  return customMessage("x", new Uint8Array(bytes - (empty - bytes)));
};

describe(`what is let in${where}`, { skip }, () => {
  test("WK7 a message of the limit passes; one byte more is MESSAGE_TOO_LARGE", async () => {
    const socket = await RawSocket.open(echoing.url);
    const largest = frameOf(sized(maxMessageBytes));
    assert.equal(largest.length, maxMessageBytes + 5);
    socket.send(largest);
    socket.send(new Uint8Array());
    assert.deepEqual(await allTypes(socket), ["heartbeat", "x"]);
    const over = await endAfter(echoing, (one) => one.send(frameOf(sized(maxMessageBytes + 1))));
    assert.deepEqual([over.types, over.code], [["heartbeat", "end MESSAGE_TOO_LARGE"], 4008]);
  });

  test("WK7 in JSON its bytes count, whatever its characters", async () => {
    const text = (letter: string, count: number) => `{"custom":{"type":"${letter.repeat(count)}"}}`;
    const bytesOf = (json: string) => new TextEncoder().encode(json).length;
    const around = bytesOf(text("", 0));
    for (const [letter, bytes] of [
      ["x", 1],
      ["\u00e9", 2],
      ["\u20ac", 3],
    ] as const) {
      const fits = Math.floor((maxMessageBytes - around) / bytes);
      const socket = await RawSocket.open(echoing.url, { subprotocols: "baton.v1.json" });
      await socket.next();
      socket.send(text(letter, fits));
      assert.equal(await socket.next(), text(letter, fits));
      socket.send(text(letter, fits + 1));
      assert.match(String(await socket.next()), /MESSAGE_TOO_LARGE|resource_exhausted/);
      assert.equal((await socket.closed).code, 4008);
    }
  });

  test("WK7 a frame is judged by its prefix, before the rest of it could come", async () => {
    for (const length of [maxMessageBytes + 1, 0xffff_ffff]) {
      const head = Buffer.alloc(5);
      head.writeUInt32BE(length, 1);
      const { types, code } = await endAfter(echoing, (socket) => socket.send(head));
      assert.deepEqual([types, code], [["heartbeat", "end MESSAGE_TOO_LARGE"], 4008]);
    }
  });

  test(
    `WK7 a message that is larger than twice the limit is not taken, and its connection is closed by its head${exceptDeno}`,
    unlessDeno,
    async () => {
      const harness = await start(undefined, { limits: { messageBytes: maxMessageBytes } });
      for (const length of [2 * maxMessageBytes + 1, 0xffff_ffff]) {
        const { code } = await endAfter(harness, (socket) =>
          socket.connection.write(socketFrame(new Uint8Array(8), { length })),
        );
        assert.ok(code === 1009 || code === 1006, `${code}`);
      }
      await harness.calls.at(-1)?.handled;
    },
  );

  test("WK8 what is of the other kind, cut within a frame, flagged or no message is MALFORMED", async () => {
    const whole = frameOf(customMessage("x"));
    const flagged = (flags: number) => concat([Uint8Array.of(flags), whole.subarray(1)]);
    const wrong: Record<string, Uint8Array | string> = {
      text: jsonOf(customMessage("x")),
      "an empty text": "",
      "half a head": whole.subarray(0, 3),
      "a head alone": whole.subarray(0, 5),
      "half a message": whole.subarray(0, -1),
      "one and a half": concat([whole, whole.subarray(0, -1)]),
      "no message": frameOf(customMessage("x")).map((byte, at) => (at < 5 ? byte : 0xff)),
      "the flag of an end": flagged(2),
      "another flag": flagged(128),
    };
    for (const [title, message] of Object.entries(wrong)) {
      const { types, code } = await endAfter(echoing, (socket) => socket.send(message));
      assert.deepEqual([title, types.at(-1), code], [title, "end MALFORMED", 4003]);
    }
    for (const message of [whole, new Uint8Array(), "{", "[]", '{"sessionId":7}']) {
      const { code, reason } = await endAfter(echoing, (socket) => socket.send(message), "baton.v1.json");
      assert.equal(code, 4003, String(message));
      assert.ok(reason.startsWith("MALFORMED: "));
    }
  });

  test("WK8 a frame is not put together of two messages", async () => {
    const whole = frameOf(customMessage("x"));
    const { types } = await endAfter(echoing, (socket) => {
      socket.send(whole.subarray(0, 7));
      socket.send(whole.subarray(7));
    });
    assert.deepEqual(types, ["heartbeat", "end MALFORMED"]);
  });

  test("WK8 a compressed frame has no encoding", async () => {
    const whole = frameOf(customMessage("x"));
    const { types, code } = await endAfter(echoing, (socket) =>
      socket.send(concat([Uint8Array.of(1), whole.subarray(1)])),
    );
    assert.deepEqual([types.at(-1), code], ["end ENCODING_MISSING", 4013]);
  });

  test(`WK9 what breaks WebSocket's own rules is closed, and harms nobody else${exceptDeno}`, unlessDeno, async () => {
    const other = await RawSocket.open(echoing.url);
    await other.next();
    const text = Buffer.from('{"custom":{}}');
    const broken: Record<string, Buffer> = {
      "no mask": socketFrame(frameOf(customMessage("x")), { isMasked: false }),
      "a reserved bit": Buffer.from([0xc2, 0x80, 1, 2, 3, 4]),
      "an opcode that is none": socketFrame(new Uint8Array(), { opcode: 3 }),
      "a ping of 126 bytes": socketFrame(new Uint8Array(126), { opcode: opcodes.ping }),
      "a ping in two frames": socketFrame(new Uint8Array(1), { opcode: opcodes.ping, isLast: false }),
      "a continuation of nothing": socketFrame(text, { opcode: opcodes.continuation }),
      "a message within a message": Buffer.concat([
        socketFrame(text, { opcode: opcodes.text, isLast: false }),
        socketFrame(text, { opcode: opcodes.text }),
      ]),
      "text that is no UTF-8": socketFrame(Uint8Array.of(0xff, 0xfe), { opcode: opcodes.text }),
    };
    for (const [title, bytes] of Object.entries(broken)) {
      const called = echoing.nextCall();
      const socket = await RawSocket.open(echoing.url, { subprotocols: "baton.v1.json" });
      socket.connection.write(bytes);
      const { code } = await socket.closed;
      assert.ok([1002, 1006, 1007].includes(code), `${title}: ${code}`);
      await (await called).handled;
    }
    other.send(frameOf(customMessage("still here")));
    assert.deepEqual(typesIn(await other.next()), ["still here"]);
    other.close();
  });

  test("WK9 a message may come in fragments with pings between, cut anywhere", async () => {
    const socket = await RawSocket.open(echoing.url);
    await socket.next();
    const whole = frameOf(customMessage("in pieces", new Uint8Array(1000)));
    const bytes = Buffer.concat([
      socketFrame(whole.subarray(0, 1), { isLast: false }),
      socketFrame(new Uint8Array(3), { opcode: opcodes.ping }),
      socketFrame(whole.subarray(1, 500), { opcode: opcodes.continuation, isLast: false }),
      socketFrame(new Uint8Array(), { opcode: opcodes.continuation, isLast: false }),
      socketFrame(whole.subarray(500), { opcode: opcodes.continuation }),
    ]);
    for (const byte of bytes) {
      socket.connection.write(Uint8Array.of(byte));
    }
    assert.deepEqual(typesIn(await socket.next()), ["in pieces"]);
    socket.close();
  });

  test("WK9 compression is not agreed on", async () => {
    const headers = { "sec-websocket-extensions": "permessage-deflate; client_max_window_bits" };
    const socket = await RawSocket.open(echoing.url, { headers });
    assert.equal(socket.handshake.headers.get("sec-websocket-extensions"), null);
    socket.close();
  });
});
