// WebSockets where the runtime can neither hold one back nor cut one off.
import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { opcodes, RawSocket, shakeHands, socketFrame } from "../support/raw-socket.ts";
import { customMessage, type HarnessOptions, listenerHere, typeOf, useHarnesses } from "./harness.ts";

const skip = listenerHere !== "Deno.serve";
const where = skip ? " (skipped: the listener is not Deno.serve)" : "";

const { start, floating } = useHarnesses();

/** Longer than an ended stream is waited for in these tests. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 300));

const large = new Uint8Array(24_000_000);

/** More than the sockets of both sides hold, and then the end. */
const endStuck: HarnessOptions = {
  endGraceMs: 50,
  session: async ({ outlet }) => {
    assert.ok(
      outlet.write(encodeFrame(SessionMessageSchema, customMessage("block", large), outlet.form)) !== undefined,
    );
    throw new BatonError("SLOW_CONSUMER");
  },
};

describe(`a peer that does not take the end${where}`, { skip }, () => {
  test("DN8 its call is over once, at its time, and the rest is let go when it goes", async () => {
    const harness = await start(endStuck);
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    socket.connection.pause();
    const seen = await called;
    assert.match(String(await seen.handled), /SLOW_CONSUMER|too slow|behind/i);
    await settle();
    assert.equal(seen.aborts, 1);
    socket.connection.resetAndDestroy();
    await settle();
    assert.equal(seen.aborts, 1);
    assert.deepEqual(harness.reported, []);
    assert.deepEqual(floating, []);
  });

  test("DN8 nor one that does not answer the close frame", async () => {
    const harness = await start({ session: async ({ outlet }) => outlet.end(), endGraceMs: 50 });
    const called = harness.nextCall();
    const { connection } = await shakeHands(harness.url);
    connection.resume();
    const seen = await called;
    await settle();
    assert.equal(connection.destroyed, false);
    // What it says late is read by nobody, and its answer closes the connection.
    connection.write(socketFrame(encodeFrame(SessionMessageSchema, customMessage("late"), "binary")));
    connection.write(socketFrame(new Uint8Array(), { opcode: opcodes.close }));
    await once(connection, "close");
    await seen.handled;
    assert.ok(seen.aborts <= 1);
    assert.deepEqual(harness.reported, []);
    assert.deepEqual(floating, []);
  });

  test("DN8 a relay that stops does not wait for it", async () => {
    const harness = await start(endStuck);
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    socket.connection.pause();
    await (await called).handled;
    await harness.stop();
    socket.connection.destroy();
  });
});

describe(`a peer that says more than is read${where}`, { skip }, () => {
  test("WK12 it is told what it was in time with, and sent away RATE_LIMITED", async () => {
    const release = Promise.withResolvers<void>();
    const heard: string[] = [];
    const harness = await start({
      session: async ({ inbound }) => {
        await release.promise;
        for await (const { message } of inbound) heard.push(typeOf(message));
      },
    });
    const called = harness.nextCall();
    const socket = await RawSocket.open(harness.url);
    const data = new Uint8Array(30_000);
    const total = 100;
    for (let n = 0; n < total; n++) {
      socket.send(encodeFrame(SessionMessageSchema, customMessage(`${n}`, data), "binary"));
    }
    await settle();
    release.resolve();
    const { code, reason } = await socket.closed;
    await (await called).handled;
    assert.equal(code, 4008);
    assert.ok(reason.startsWith("RATE_LIMITED: "));
    assert.ok(heard.length > 0 && heard.length < total);
    assert.deepEqual(
      heard,
      heard.map((_, n) => `${n}`),
    );
  });
});
