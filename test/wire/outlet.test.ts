// What Bun never does, and other runtimes may: a write that stays pending, rejects or throws when the peer is gone; a
// request body that breaks off with no other sign of it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { CodeReviewService, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { StreamCall } from "../../src/relay/stream.ts";
import type { BodySink, BodySource } from "../../src/relay/wire/body.ts";
import { createInbound } from "../../src/relay/wire/inbound.ts";
import { createOutlet } from "../../src/relay/wire/outlet.ts";
import * as protocol from "../../src/relay/wire/protocol-connect.ts";
import { createStreamEndpoint } from "../../src/relay/wire/stream-handler.ts";

const bytes = new Uint8Array(5);

function outletOver(write: BodySink["write"], endGraceMs = 60_000) {
  const told = { gone: 0, ended: 0 };
  const outlet = createOutlet(
    { write },
    {
      form: "binary",
      protocol,
      sendTrailers: undefined,
      endGraceMs,
      gone: () => {
        told.gone += 1;
      },
      ended: () => {
        told.ended += 1;
      },
    },
  );
  return { outlet, told };
}

describe("an outlet over any sink", () => {
  test("WR19 a write that stays pending resolves when the peer is gone", async () => {
    const { outlet } = outletOver(() => new Promise(() => {}));
    const behind = outlet.write(bytes);
    outlet.release();
    await behind;
    assert.equal(await outlet.finished, "complete");
    assert.equal(outlet.write(bytes), undefined);
  });

  test("WR17 a write that rejects, or throws, says that the peer is gone, and does not reject", async () => {
    for (const write of [
      () => Promise.reject(new Error("gone")),
      () => {
        throw new Error("gone");
      },
    ]) {
      const { outlet, told } = outletOver(write);
      await outlet.write(bytes);
      assert.equal(told.gone, 1);
    }
  });

  test("WR20 the body ends when the peer has taken the end, not before, or is gone", async () => {
    const { promise: taken, resolve: take } = Promise.withResolvers<void>();
    const { outlet, told } = outletOver(() => taken);
    outlet.end();
    assert.equal(told.ended, 1);
    const pending = new Promise((resolve) => setTimeout(resolve, 20, "pending"));
    assert.equal(await Promise.race([outlet.finished, pending]), "pending");
    take();
    assert.equal(await outlet.finished, "complete");

    const { outlet: left } = outletOver(() => new Promise(() => {}));
    left.end();
    left.release();
    assert.equal(await left.finished, "complete");
  });
});

describe("an inbound over any body", () => {
  test("WR17 a body that breaks off says that the peer is gone, and rejects who waits with the call's reason", async () => {
    const { promise: broken, resolve: breakOff } = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => broken.then(() => controller.error(new Error("connection lost"))),
    });
    const life = new AbortController();
    const reason = new Error("the peer is gone");
    const inbound = createInbound(body, {
      schema: SessionMessageSchema,
      form: "binary",
      maxMessageBytes: 100,
      signal: life.signal,
      gone: () => life.abort(reason),
    });
    const next = inbound.next();
    breakOff();
    await assert.rejects(next, reason);
  });

  test("WR17 it is noticed also while nobody asks for a message", async () => {
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.error(new Error("connection lost")),
    });
    await new Promise<void>((gone) => {
      const { signal } = new AbortController();
      createInbound(body, { schema: SessionMessageSchema, form: "binary", maxMessageBytes: 100, signal, gone });
    });
  });
});

describe("an inbound that decompresses", () => {
  test("WR17 a call that ends meanwhile rejects who waits, and its message is given to nobody", async () => {
    const life = new AbortController();
    const reason = new Error("the peer is gone");
    const { promise: began, resolve: begin } = Promise.withResolvers<void>();
    const { promise: message, resolve: decompressed } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(Uint8Array.of(1, 0, 0, 0, 1, 7)),
    });
    const inbound = createInbound(body, {
      schema: SessionMessageSchema,
      form: "binary",
      maxMessageBytes: 100,
      decompress: () => {
        begin();
        return message;
      },
      signal: life.signal,
      gone: assert.fail,
    });
    const next = inbound.next();
    await began;
    life.abort(reason);
    decompressed(new Uint8Array(0));
    await assert.rejects(next, reason);
  });
});

describe("an endpoint over any body", () => {
  test("WR17 however often it is told that the peer is gone: one abort, and nobody is left waiting", async () => {
    let call: StreamCall<typeof SessionMessageSchema> | undefined;
    let aborts = 0;
    let source: BodySource | undefined;
    const endpoint = createStreamEndpoint(
      CodeReviewService.method.collaborativeSession,
      async (opened) => {
        call = opened;
        opened.signal.addEventListener("abort", () => {
          aborts += 1;
        });
        await opened.outlet.write(bytes);
      },
      { maxMessageBytes: 100, maxWaitingBytes: 1_000, endGraceMs: 60_000, report: assert.fail },
    );
    const request = new Request("http://test/", {
      method: "POST",
      headers: { "content-type": "application/connect+proto" },
    });
    endpoint.handle(request, {
      streamId: "test",
      openBody: (opened) => {
        source = opened;
        return null;
      },
    });
    const ended = source?.run({ write: () => new Promise(() => {}) });
    for (let i = 0; i < 3; i++) source?.gone();
    assert.equal(await ended, "complete");
    assert.equal(aborts, 1);
    assert.equal(call?.outlet.write(bytes), undefined);
  });
});
