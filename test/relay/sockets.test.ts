// What is a session's own over WebSocket: who is let in, and how long one stays. What is said is the same everywhere.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { endStreamFlag } from "@connectrpc/connect/protocol-connect";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { envelope } from "../bad-input/ways.ts";
import { RawSocket, shakeHands } from "../support/raw-socket.ts";
import { splitFrames } from "../wire/frames.ts";
import { edit, type Payload, startRelay, type TestRelay } from "./harness.ts";

const listed = "https://app.example.com";
let relay: TestRelay;
before(async () => {
  relay = await startRelay({ allowedOrigins: [listed], limits: { ringBytes: 256 * 1024, unackedBytes: 1 << 30 } });
});
after(() => relay.stop());

let sessions = 0;
const freshSession = () => `sockets/${++sessions}`;

const encode = (message: MessageInitShape<typeof SessionMessageSchema>) =>
  envelope(toBinary(SessionMessageSchema, create(SessionMessageSchema, message)));

const joinOf = (sessionId: string, clientId = "") =>
  encode({ sessionId, payload: { case: "join", value: { clientId } } });

/** The messages in the next binary message, or undefined behind the last. */
async function nextOf(socket: RawSocket): Promise<SessionMessage[] | undefined> {
  const message = await socket.next();
  if (message === undefined) return undefined;
  assert.ok(message instanceof Uint8Array);
  return splitFrames(message)
    .filter(({ flags }) => flags !== endStreamFlag)
    .map(({ data }) => fromBinary(SessionMessageSchema, data));
}

/** Reads on until a message of this kind has come. */
async function take(socket: RawSocket, kind: SessionMessage["payload"]["case"]): Promise<SessionMessage> {
  for (;;) {
    const messages = await nextOf(socket);
    assert.ok(messages !== undefined, `no ${kind} came`);
    const found = messages.find(({ payload }) => payload.case === kind);
    if (found !== undefined) return found;
  }
}

/** How it closed, once all that came was read. */
async function endOf(socket: RawSocket): Promise<string> {
  while ((await nextOf(socket)) !== undefined);
  const { code, reason } = await socket.closed;
  return `${code} ${/^[A-Z_]*/.exec(reason)?.[0]}`;
}

async function open(sessionId: string, as = "alice") {
  const token = await relay.token({ sub: as, sessions: [sessionId] });
  return await RawSocket.open(relay.url, { subprotocols: `baton.v1, bearer.${token}` });
}

async function enter(sessionId: string, as = "alice") {
  const socket = await open(sessionId, as);
  socket.send(joinOf(sessionId, as));
  await take(socket, "welcome");
  return socket;
}

const custom: Payload = { case: "custom", value: { type: "t" } };

describe("who is let in", () => {
  test("WK2 TK15 a token as a subprotocol, or in a header, which counts where both are there", async () => {
    const session = freshSession();
    const token = await relay.token({ sessions: [session] });
    for (const handshake of [
      { subprotocols: `baton.v1, bearer.${token}` },
      { subprotocols: `bearer.${token},baton.v1` },
      { headers: { authorization: `Bearer ${token}` } },
      { subprotocols: "baton.v1, bearer.a.b.c", headers: { authorization: `Bearer ${token}` } },
    ]) {
      const socket = await RawSocket.open(relay.url, handshake);
      assert.equal(
        [...socket.handshake.headers.values()].some((value) => value.includes(token)),
        false,
      );
      socket.send(joinOf(session));
      await take(socket, "welcome");
      socket.send(new Uint8Array());
      assert.equal(await endOf(socket), "1000 ");
    }
  });

  test("WK2 a token that is missing, wrong, expired or twice there ends the stream that was opened", async () => {
    const session = freshSession();
    const expired = await relay.token({ sessions: [session], ttlSeconds: 1, nowMs: relay.now() - 100_000 });
    const good = await relay.token({ sessions: [session] });
    for (const [handshake, end] of [
      [{}, "4016 TOKEN_INVALID"],
      [{ subprotocols: "baton.v1, bearer." }, "4016 TOKEN_INVALID"],
      [{ subprotocols: "baton.v1, bearer.a.b.c" }, "4016 TOKEN_INVALID"],
      [{ subprotocols: `baton.v1, bearer.${good}, bearer.${good}` }, "4016 TOKEN_INVALID"],
      [{ subprotocols: `baton.v1, bearer.${expired}` }, "4016 TOKEN_EXPIRED"],
      [{ subprotocols: `baton.v1, bearer.${good}`, headers: { authorization: "Basic YTpi" } }, "4016 TOKEN_INVALID"],
      [{ subprotocols: `baton.v1, Bearer.${good}` }, "4016 TOKEN_INVALID"],
    ] as const) {
      const socket = await RawSocket.open(relay.url, handshake);
      socket.send(joinOf(session));
      assert.equal(await endOf(socket), end);
    }
  });

  test("WK3 a page of a foreign origin is refused before the handshake, and the list is exact", async () => {
    const session = freshSession();
    const token = await relay.token({ sessions: [session] });
    const { host } = new URL(relay.url);
    const subprotocols = `baton.v1, bearer.${token}`;
    const before = relay.relay.rooms.present(session);
    for (const origin of [
      "https://evil.example.com",
      "null",
      "",
      "https://evil-app.example.com",
      "https://app.example.com.evil.com",
      "https://app.example.com:444",
      "http://app.example.com",
      "https://app.example.com/",
      "HTTPS://APP.EXAMPLE.COM",
      `http://${host}.evil.com`,
    ]) {
      const { status, body, connection } = await shakeHands(relay.url, { subprotocols, headers: { origin } });
      assert.equal(status, 403, origin);
      assert.match(body, /permission_denied/);
      assert.equal(body.includes(token), false);
      connection.destroy();
    }
    assert.equal(relay.relay.rooms.present(session), before);
    for (const origin of [listed, `http://${host}`, `https://${host}`]) {
      const socket = await RawSocket.open(relay.url, { subprotocols, headers: { origin, cookie: "session=1" } });
      assert.equal(socket.handshake.headers.get("set-cookie"), null);
      socket.send(joinOf(session));
      await take(socket, "welcome");
      socket.close();
    }
  });

  test("WK1 ST8 ST12 a stream begins with one Join and holds to the contract", async () => {
    const session = freshSession();
    const socket = await enter(session);
    socket.send(joinOf(session));
    const { payload } = await take(socket, "fault");
    assert.equal(payload.case === "fault" && payload.value.reason, "ALREADY_JOINED");
    socket.send(encode({ clientSeq: 1n, payload: custom }));
    await take(socket, "ack");
    socket.close();
    const other = await open(session);
    other.send(encode({ sessionId: session, payload: { case: "heartbeat", value: {} } }));
    assert.equal(await endOf(other), "4009 NOT_JOINED");
  });

  test("WK1 OC1 a client of the original contract, whose first message is no Join", async () => {
    const session = freshSession();
    const reader = await relay.join({ session, as: "reader" });
    await reader.take("welcome");
    const socket = await open(session, "old");
    socket.send(
      encode({ sessionId: session, payload: { case: "edit", value: { filePath: "a", lineNumber: 1, content: "x" } } }),
    );
    assert.equal((await reader.takeMessage("edit")).userId, "old");
    socket.close();
    reader.cut();
  });
});

describe("how long one stays", () => {
  test("WK5 ST9 ST11 ST13 no word, a newer stream, a silent peer: each end by its name", async () => {
    const quick = await startRelay({ limits: { firstMessageMs: 50 } });
    try {
      const token = await quick.token();
      const socket = await RawSocket.open(quick.url, { subprotocols: `baton.v1, bearer.${token}` });
      assert.equal(await endOf(socket), "4004 FIRST_MESSAGE_TIMEOUT");
    } finally {
      await quick.stop();
    }
    const session = freshSession();
    const older = await enter(session);
    const newer = await enter(session);
    assert.equal(await endOf(older), "4010 SUPERSEDED");
    // A peer that is there no more says nothing: nobody asks WebSocket's own pings.
    relay.advance(15_000);
    await take(newer, "heartbeat");
    relay.advance(8_100);
    assert.equal(await endOf(newer), "4004 CLIENT_SILENT");
  });

  test("WK10 ST12 what was said before a close is in the log, once, and a repeat is told its place", async () => {
    const session = freshSession();
    const first = await enter(session);
    first.send(encode({ clientSeq: 1n, payload: edit("a", 0, 0, 0, "one") }));
    first.connection.end();
    await first.closed;
    const again = await enter(session);
    again.send(encode({ clientSeq: 1n, payload: edit("a", 0, 0, 0, "one") }));
    const { payload } = await take(again, "ack");
    assert.equal(payload.case === "ack" && payload.value.seq, 1n);
    assert.equal((await relay.log.describe(session))?.head, 1);
    again.close();
  });

  test("WK7 a message is cut off at each of its bytes: nothing is logged of it, and nobody is left", async () => {
    const session = freshSession();
    const message = encode({ clientSeq: 1n, payload: custom });
    for (let length = 1; length < message.length; length++) {
      const socket = await enter(session);
      // A frame of WebSocket that promises more than comes.
      const head = Uint8Array.of(0x82, 0x80 | message.length, 0, 0, 0, 0);
      socket.connection.write(Buffer.concat([head, message.subarray(0, length)]), () =>
        socket.connection.resetAndDestroy(),
      );
      await socket.closed;
    }
    const last = await enter(session);
    assert.equal((await relay.log.describe(session))?.head ?? 0, 0);
    last.close();
    await until(() => (relay.relay.rooms.present(session)?.participants.size ?? 0) === 0);
  });

  test("WK11 ST16 ST17 a reader that stops holds up nobody, gets all once it reads, or ends SLOW_CONSUMER", async () => {
    const session = freshSession();
    const [slow, dead] = [await enter(session, "slow"), await enter(session, "dead")];
    for (const { connection } of [slow, dead]) connection.pause();
    const writer = await relay.join({ session, as: "writer" });
    await writer.take("welcome");
    const data = new Uint8Array(200_000);
    const total = 100;
    for (let n = 1; n <= total; n++) {
      writer.send({ case: "custom", value: { type: `t${n}`, data } }, { clientSeq: BigInt(n) });
      assert.equal((await writer.take("ack")).seq, BigInt(n));
    }
    assert.equal(blocked(session), 2);
    slow.connection.resume();
    for (let n = 1; n <= total; n++) {
      const { seq } = await takeNext(slow, "custom");
      assert.equal(seq, BigInt(n));
    }
    relay.advance(31_000);
    await until(() => blocked(session) === 0);
    dead.connection.resume();
    assert.match(await endOf(dead), /^(4008 SLOW_CONSUMER|1006 )$/);
    writer.cut();
  });

  test("LM4 a user's sockets are their streams", async () => {
    const narrow = await startRelay({ limits: { userStreams: 2 } });
    try {
      const token = await narrow.token();
      const sockets: RawSocket[] = [];
      for (let n = 0; n < 3; n++) {
        const socket = await RawSocket.open(narrow.url, { subprotocols: `baton.v1, bearer.${token}` });
        socket.send(joinOf("demo", `c${n}`));
        if (n < 2) await take(socket, "welcome");
        sockets.push(socket);
      }
      const [, , third] = sockets;
      assert.equal(third && (await endOf(third)), "4008 USER_LIMIT");
      for (const socket of sockets) socket.close();
    } finally {
      await narrow.stop();
    }
  });

  test("WK5 ST15 a relay that drains says so, and closes 4014", async () => {
    const going = await startRelay();
    const token = await going.token();
    const socket = await RawSocket.open(going.url, { subprotocols: `baton.v1, bearer.${token}` });
    socket.send(joinOf("demo"));
    await take(socket, "welcome");
    const stopped = going.stop();
    await take(socket, "goAway");
    assert.equal(await endOf(socket), "4014 DRAIN");
    await stopped;
  });
});

/** The next of its kind, of many that may come in one message. */
const pending = new WeakMap<RawSocket, SessionMessage[]>();
async function takeNext(socket: RawSocket, kind: SessionMessage["payload"]["case"]): Promise<SessionMessage> {
  const waiting = pending.get(socket) ?? [];
  pending.set(socket, waiting);
  for (;;) {
    const next = waiting.shift();
    if (next !== undefined && next.payload.case === kind) return next;
    if (next !== undefined) continue;
    const messages = await nextOf(socket);
    assert.ok(messages !== undefined, `no ${kind} came`);
    waiting.push(...messages);
  }
}

const blocked = (session: string) =>
  [...(relay.relay.rooms.present(session)?.participants.values() ?? [])].filter(
    ({ reader }) => reader.blockedSinceMs !== undefined,
  ).length;

async function until(holds: () => boolean): Promise<void> {
  for (let waits = 0; waits < 500; waits++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("it did not come to be");
}
