import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { openBareH2 } from "./bare-h2.ts";
import {
  customMessage,
  type Harness,
  type HarnessOptions,
  heartbeat,
  listenerHere,
  type Seen,
  useHarnesses,
} from "./harness.ts";
import { endOf, namesOf, openBody, openH1, openH2, splitFrames } from "./raw.ts";

const { start, floating } = useHarnesses();

const frame = encodeFrame(SessionMessageSchema, customMessage("x"), "binary");
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
    session: async ({ outlet, signal }) => {
      await outlet.write(encodeFrame(SessionMessageSchema, heartbeat, "binary"));
      await until(signal);
    },
  },
  "a handler that goes on writing": {
    session: async ({ outlet, signal }) => {
      while (!signal.aborted) {
        await outlet.write(frame);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      for (let i = 0; i < 10; i++) assert.equal(outlet.write(frame), undefined);
    },
  },
};

/** Opens a stream, waits until its first frame has come, and goes in one way. */
const ways: Record<string, (harness: Harness) => Promise<void>> = {
  "a reset of the HTTP/2 stream": async ({ url }) => {
    const { stream, connection } = openH2(url);
    stream.write(frame);
    await new Promise((resolve) => stream.once("data", resolve));
    stream.close(8);
    connection.close();
  },
  "the end of the HTTP/2 connection": async ({ url }) => {
    const { stream, connection } = openH2(url);
    stream.write(frame);
    await new Promise((resolve) => stream.once("data", resolve));
    connection.destroy();
  },
  "a TCP reset, HTTP/1.1": async ({ port }) => {
    const { socket, send } = openH1(port);
    send(frame);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.resetAndDestroy();
  },
  "a FIN, HTTP/1.1": async ({ port }) => {
    const { socket, send } = openH1(port);
    send(frame);
    await new Promise((resolve) => socket.once("data", resolve));
    socket.end();
  },
  "a FIN within a message, HTTP/1.1": async ({ port }) => {
    const { socket, send } = openH1(port);
    send(Uint8Array.of(0, 0, 0, 0, 9, 1));
    await new Promise((resolve) => socket.once("data", resolve));
    socket.end();
  },
  "a fetch that is aborted": async ({ url }) => {
    const abort = new AbortController();
    const response = await fetch(`${url}/codereview.v1.CodeReviewService/CollaborativeSession`, {
      method: "POST",
      headers: { "content-type": "application/connect+proto" },
      signal: abort.signal,
      ...openBody(frame),
    });
    await response.body?.getReader().read();
    abort.abort();
  },
};

describe("the peer goes", () => {
  for (const [handlerTitle, options] of Object.entries(sessions)) {
    for (const [title, go] of Object.entries(ways)) {
      test(`WR17 ${title}, ${handlerTitle}: one abort, and the handler ends`, async () => {
        const harness = await start(options);
        const called = harness.nextCall();
        await go(harness);
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

  test("WR18 a half-close ends the inbound and is no abort; the stream goes on", async () => {
    const inboundEnded = Promise.withResolvers<boolean>();
    const goOn = Promise.withResolvers<void>();
    const harness = await start({
      session: async ({ inbound, outlet, signal }) => {
        outlet.write(frame);
        for await (const _ of inbound);
        await settle();
        inboundEnded.resolve(signal.aborted);
        await goOn.promise;
        outlet.write(frame);
        outlet.end();
      },
    });
    const { stream, closed, collect, received, connection } = openH2(harness.url);
    collect();
    stream.end();
    assert.equal(await inboundEnded.promise, false);
    goOn.resolve();
    await closed;
    connection.close();
    assert.equal(splitFrames(received()).length, 3);
    assert.equal(endOf(received()), undefined);
  });
});

describe("the peer reads nothing", () => {
  const block = encodeFrame(SessionMessageSchema, customMessage("block", new Uint8Array(16_000)), "binary");

  const isStill = (behind: Promise<void>) => Promise.race([behind.then(() => false), settle().then(() => true)]);

  /** Writes until nothing of it moves any more, then says how much that was. */
  async function fillUp({ call }: Seen): Promise<{ bytes: number; behind: Promise<void> }> {
    for (let bytes = block.length; bytes < 64 * 1024 * 1024; bytes += block.length) {
      const behind = call.outlet.write(block);
      // What the runtime and the system hold on the way takes a while to fill.
      if (behind !== undefined && (await isStill(behind))) return { bytes, behind };
    }
    throw new Error("64 MiB were written to a peer that reads nothing");
  }
  const hold: HarnessOptions = { session: ({ signal }) => until(signal) };

  test("WR19 HTTP/2: the write gives a promise within 1 MiB, which resolves when the peer reads", async () => {
    const harness = await start(hold);
    const called = harness.nextCall();
    const { socket, send, openWindow } = openBareH2(harness.port);
    send(frame);
    const seen = await called;
    const { bytes, behind } = await fillUp(seen);
    assert.ok(bytes <= 1024 * 1024, `${bytes}`);
    openWindow();
    await behind;
    assert.equal(seen.aborts, 0);
    socket.destroy();
    await seen.handled;
  });

  test("WR19 HTTP/1.1: the write gives a promise once the socket is full", async () => {
    const harness = await start(hold);
    const called = harness.nextCall();
    const { socket, send } = openH1(harness.port);
    send(frame);
    socket.pause();
    const seen = await called;
    const { behind } = await fillUp(seen);
    socket.resetAndDestroy();
    await behind;
    await seen.handled;
  });

  test("WR19 the promise resolves when the peer goes", async () => {
    const harness = await start(hold);
    const called = harness.nextCall();
    const { socket, send } = openBareH2(harness.port);
    send(frame);
    const { behind } = await fillUp(await called);
    socket.destroy();
    await behind;
  });

  test("WR20 a peer that is behind when the stream ends still gets all, and the end", async () => {
    const harness = await start(hold);
    const called = harness.nextCall();
    const { socket, send, openWindow, received, closed } = openBareH2(harness.port);
    send(frame);
    const seen = await called;
    const { bytes } = await fillUp(seen);
    seen.call.outlet.end(new BatonError("SLOW_CONSUMER"));
    await settle();
    openWindow();
    assert.equal(await closed, "end");
    socket.destroy();
    assert.deepEqual(namesOf(endOf(received())), { code: "ResourceExhausted", reason: "SLOW_CONSUMER" });
    assert.equal(splitFrames(received()).length, bytes / block.length + 1);
  });

  for (const version of ["HTTP/2", "HTTP/1.1"]) {
    // Deno.serve waits for its own queue, whatever becomes of the body: seen on Deno 2.9.6.
    const skip = version === "HTTP/2" && listenerHere === "Deno.serve";
    test(`WR20 a peer that does not take the end in time is reset: ${version}`, { skip }, async () => {
      const harness = await start({ ...hold, endGraceMs: 50 });
      const called = harness.nextCall();
      if (version === "HTTP/2") {
        const { socket, send, closed } = openBareH2(harness.port);
        send(frame);
        const seen = await called;
        await fillUp(seen);
        seen.call.outlet.end();
        assert.equal(await closed, 2);
        socket.destroy();
      } else {
        const { socket, send } = openH1(harness.port);
        send(frame);
        socket.pause();
        const seen = await called;
        await fillUp(seen);
        const cut = new Promise((resolve) => socket.on("close", resolve));
        let tail = "";
        socket.on("data", (chunk) => {
          tail = (tail + chunk.toString("latin1")).slice(-5);
        });
        socket.pause();
        seen.call.outlet.end();
        await settle();
        await settle();
        socket.resume();
        await cut;
        assert.notEqual(tail, "0\r\n\r\n", "it passes for a body that is whole");
      }
      assert.deepEqual(floating, []);
    });
  }
});
