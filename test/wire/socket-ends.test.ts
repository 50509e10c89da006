// How a WebSocket's peer goes, falls behind, or says more than is read.
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Outlet } from "../../src/relay/stream.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { opcodes, RawSocket, shakeHands, socketFrame } from "../support/raw-socket.ts";
import { customMessage, type HarnessOptions, heartbeat, listenerHere, typeOf, useHarnesses } from "./harness.ts";

/** Bun's `node:http` is no ground for them. */
const isServed = listenerHere === "Bun.serve" || !("Bun" in globalThis);
const skip = !isServed;
const where = isServed ? "" : " (skipped: Bun's node:http serves no WebSocket)";

/** docs/decisions/0008-sockets-on-deno.md. */
const isDeno = listenerHere === "Deno.serve";
const unlessCut = isDeno ? " (skipped: Deno cannot cut a WebSocket off)" : "";
const unlessHeld = isDeno ? " (skipped: Deno cannot hold a WebSocket back)" : "";

const { start, floating } = useHarnesses();

const frame = encodeFrame(SessionMessageSchema, customMessage("x"), "binary");

/** More than the sockets of both sides hold, which grow. Resolves while it is stuck. */
async function fill(outlet: Outlet): Promise<{ readonly pending: Promise<void> }> {
  const frames = encodeFrame(SessionMessageSchema, customMessage("block", new Uint8Array(24_000_000)), outlet.form);
  const pending = outlet.write(frames);
  assert.ok(pending !== undefined);
  await settle();
  return { pending };
}

const until = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve());
  });
/** Long enough for whatever else would tell of the same end a second time. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

const sessions: Record<string, HarnessOptions> = {
  "a handler that reads": {},
  "a handler that does not read": {
    endGraceMs: 100,
    session: async ({ outlet, signal }) => {
      await outlet.write(encodeFrame(SessionMessageSchema, heartbeat, outlet.form));
      await until(signal);
    },
  },
  "a handler that goes on writing": {
    endGraceMs: 100,
    session: async ({ outlet, signal }) => {
      while (!signal.aborted) {
        await outlet.write(frame);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      for (let i = 0; i < 10; i++) assert.equal(outlet.write(frame), undefined);
    },
  },
};

const ways: Record<string, (socket: RawSocket) => void> = {
  "a close frame": (socket) => socket.close(),
  "a close frame without a code": ({ connection }) =>
    void connection.write(socketFrame(new Uint8Array(), { opcode: opcodes.close })),
  "a FIN": ({ connection }) => void connection.end(),
  "a TCP reset": ({ connection }) => void connection.resetAndDestroy(),
  "a FIN within a message": ({ connection }) => void connection.end(socketFrame(frame).subarray(0, 7)),
  "a FIN within a message of fragments": ({ connection }) => void connection.end(socketFrame(frame, { isLast: false })),
};

describe(`the peer goes${where}`, { skip }, () => {
  for (const [handlerTitle, options] of Object.entries(sessions)) {
    for (const [title, go] of Object.entries(ways)) {
      test(`WK10 ${title}, ${handlerTitle}: one abort, and the handler ends`, async () => {
        const harness = await start(options);
        const called = harness.nextCall();
        const socket = await RawSocket.open(harness.url);
        socket.send(frame);
        await socket.next();
        go(socket);
        const seen = await called;
        await seen.handled;
        await until(seen.call.signal);
        await settle();
        assert.equal(seen.aborts, 1);
        assert.deepEqual(harness.reported, []);
        assert.deepEqual(floating, []);
      });
    }
  }

  test("WK10 it goes before a word", async () => {
    const harness = await start();
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    socket.connection.resetAndDestroy();
    const seen = await called;
    await seen.handled;
    assert.equal(seen.aborts, 1);
  });

  test("WK10 what it said before its close is still read", async () => {
    const release = Promise.withResolvers<void>();
    const heard: string[] = [];
    const harness = await start({
      session: async ({ inbound, outlet }) => {
        await outlet.write(encodeFrame(SessionMessageSchema, heartbeat, outlet.form));
        await release.promise;
        // Nobody takes it any more, and that is no fault.
        await outlet.write(frame);
        for await (const { message } of inbound) heard.push(typeOf(message));
      },
    });
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    await socket.next();
    for (const type of ["1", "2", "3"]) socket.send(encodeFrame(SessionMessageSchema, customMessage(type), "binary"));
    socket.close();
    await socket.closed;
    release.resolve();
    const seen = await called;
    assert.match(String(await seen.handled), /the peer is gone/);
    assert.deepEqual(heard, ["1", "2", "3"]);
    assert.equal(seen.aborts, 1);
  });

  test("WK10 each byte of a handshake and a message cut off: nothing is left", async () => {
    const harness = await start();
    const whole = socketFrame(frame);
    for (let length = 0; length < whole.length; length++) {
      const called = harness.nextCall();
      const { connection } = await RawSocket.open(harness.url);
      connection.write(whole.subarray(0, length), () => connection.resetAndDestroy());
      const seen = await called;
      await seen.handled;
      assert.equal(seen.aborts, 1);
    }
    assert.deepEqual(harness.reported, []);
  });
});

describe(`a peer that does not keep up${where}`, { skip }, () => {
  test("WK11 a write says that it is behind, and then when it reads again", async () => {
    const behind = Promise.withResolvers<void>();
    let isCaughtUp = false;
    const harness = await start({
      session: async ({ outlet, inbound }) => {
        const { pending } = await fill(outlet);
        behind.resolve();
        await pending;
        isCaughtUp = true;
        await outlet.write(frame);
        for await (const _ of inbound);
      },
    });
    const socket = await RawSocket.open(harness.url);
    socket.connection.pause();
    await behind.promise;
    await settle();
    assert.equal(isCaughtUp, false);
    socket.connection.resume();
    socket.send(new Uint8Array());
    assert.equal((await socket.closed).code, 1000);
    assert.equal(isCaughtUp, true);
    assert.deepEqual(socket.received.at(-1), frame);
  });

  test("WK11 one that goes while it is behind keeps nobody waiting", async () => {
    const behind = Promise.withResolvers<void>();
    const harness = await start({
      session: async ({ outlet }) => {
        const { pending } = await fill(outlet);
        behind.resolve();
        await pending;
      },
    });
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    socket.connection.pause();
    await behind.promise;
    socket.connection.resetAndDestroy();
    const seen = await called;
    await seen.handled;
    await until(seen.call.signal);
    assert.equal(seen.aborts, 1);
  });

  const endStuck: NonNullable<HarnessOptions["session"]> = async ({ outlet }) => {
    await fill(outlet);
    throw new BatonError("SLOW_CONSUMER");
  };

  for (const subprotocols of ["baton.v1", "baton.v1.json"]) {
    test(`WK11 one that is behind at the end and reads on gets all of it, and the end: ${subprotocols}`, async () => {
      const harness = await start({ session: endStuck, endGraceMs: 60_000 });
      const called = harness.nextCall();
      const socket = await RawSocket.open(harness.url, { subprotocols });
      socket.connection.pause();
      await (await called).handled;
      await settle();
      socket.connection.resume();
      const { code, reason } = await socket.closed;
      assert.equal(code, 4008);
      assert.ok(reason.startsWith("SLOW_CONSUMER: "));
      assert.equal(socket.received.length, 2);
    });
  }

  test(`WK11 one that does not take the end in time is cut off${unlessCut}`, { skip: isDeno }, async () => {
    const harness = await start({ session: endStuck, endGraceMs: 100 });
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    socket.connection.pause();
    await (await called).handled;
    await new Promise((resolve) => setTimeout(resolve, 500));
    socket.connection.resume();
    assert.deepEqual(await socket.closed, { code: 1006, reason: "" });
  });

  test("WK10 whoever waits for a message when the stream is ended goes on, though its peer does not answer", async () => {
    const harness = await start({
      session: async ({ inbound, outlet }) => {
        const next = inbound[Symbol.asyncIterator]().next();
        outlet.end();
        await next;
      },
      endGraceMs: 60_000,
    });
    const called = harness.nextCall();
    const { connection } = await shakeHands(harness.url);
    const seen = await called;
    assert.match(String(await seen.handled), /the call has ended/);
    connection.destroy();
  });

  test(`WK11 one that does not answer the close frame is cut off${unlessCut}`, { skip: isDeno }, async () => {
    const harness = await start({ session: async ({ outlet }) => outlet.end(), endGraceMs: 100 });
    const { connection, rest } = await shakeHands(harness.url);
    assert.ok(rest.length >= 0);
    const closed = once(connection, "close");
    connection.resume();
    await closed;
  });
});

describe(`a peer that says more than is read${where}${unlessHeld}`, { skip: skip || isDeno }, () => {
  test("WK12 one that is held back when its stream ends is told the end", async () => {
    const behind = Promise.withResolvers<void>();
    const harness = await start({
      session: async () => {
        await behind.promise;
        throw new BatonError("RATE_LIMITED");
      },
    });
    const socket = await RawSocket.open(harness.url);
    const data = new Uint8Array(30_000);
    for (let n = 0; n < 1_000; n++) {
      socket.send(encodeFrame(SessionMessageSchema, customMessage("x", data), "binary"));
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(socket.connection.writableLength > 10_000_000);
    behind.resolve();
    assert.equal((await socket.closed).code, 4008);
  });

  test("WK12 it is held back, and then read on, every message once and in order", async () => {
    const release = Promise.withResolvers<void>();
    const total = 1_000;
    const heard: string[] = [];
    const harness = await start({
      session: async ({ inbound, outlet }) => {
        await outlet.write(encodeFrame(SessionMessageSchema, heartbeat, outlet.form));
        await release.promise;
        for await (const { message } of inbound) heard.push(typeOf(message));
      },
    });
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    await socket.next();
    const data = new Uint8Array(30_000);
    for (let n = 0; n < total; n++) {
      socket.send(encodeFrame(SessionMessageSchema, customMessage(`${n}`, data), "binary"));
    }
    socket.send(new Uint8Array());
    await new Promise((resolve) => setTimeout(resolve, 300));
    // What its sender could not get rid of: all but what sockets hold.
    assert.ok(socket.connection.writableLength > 10_000_000, `${socket.connection.writableLength} bytes wait`);
    release.resolve();
    await (await called).handled;
    assert.deepEqual(
      heard,
      Array.from({ length: total }, (_, n) => `${n}`),
    );
    assert.equal((await socket.closed).code, 1000);
  });
});
