// The floor: the bodies of the runtime, and nothing behind them. Each message that comes up goes down as one frame of
// the relay's size to every subscriber, those that come together in one write; it is neither decoded, ordered nor kept.
// Its argument: the bytes of a frame.
import process from "node:process";
import { create } from "@bufbuild/protobuf";
import { announce } from "../../src/cli/bench/side-channel.ts";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { BodySink, BodySource } from "../../src/relay/wire/body.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import { serve } from "../../src/runtime/this-runtime.ts";
import { defaultLimits } from "../../src/session/limits.ts";

const message = create(SessionMessageSchema, { payload: { case: "heartbeat", value: {} } });
const heartbeat = encodeFrame(SessionMessageSchema, message, "binary");

const subscribers = new Set<BodySink>();

/** Frames of the size that the relay's have in the fan-out, one behind another. */
const frameBytes = Number(process.argv[2]);
const maxTogether = 128;
const frames = new Uint8Array(frameBytes * maxTogether);
for (let at = 0; at < frames.length; at += frameBytes) {
  new DataView(frames.buffer).setUint32(at + 1, frameBytes - 5);
}

async function forward(body: ReadableStream<Uint8Array>): Promise<void> {
  const envelopes = createEnvelopeReader(1024 * 1024);
  let isJoined = false;
  for await (const chunk of body) {
    envelopes.push(chunk);
    let count = 0;
    for (let next = envelopes.take(); next !== undefined; next = envelopes.take()) count += 1;
    if (!isJoined) count -= 1;
    isJoined = true;
    for (; count > 0; count -= maxTogether) {
      const bytes = frames.subarray(0, Math.min(count, maxTogether) * frameBytes);
      for (const subscriber of subscribers) void subscriber.write(bytes);
    }
  }
}

const bodyOf = (subscribes: boolean): BodySource => ({
  async run(sink) {
    await sink.write(heartbeat);
    if (subscribes) subscribers.add(sink);
    return await new Promise(() => undefined);
  },
  gone: () => undefined,
});

const server = await serve({
  host: "127.0.0.1",
  port: 0,
  limits: { ...defaultLimits, streamsPerConnection: 1_000 },
  fetch({ url, body }, { openBody }) {
    const subscribes = url.endsWith("/Subscribe");
    if (!subscribes && body !== null) forward(body).catch(() => undefined);
    return new Response(openBody?.(bodyOf(subscribes)), { headers: { "content-type": "application/connect+proto" } });
  },
});
announce({ port: Number(new URL(server.url).port) });
