// The floor: Bun's bodies, and nothing behind them. Each message that comes up goes down as one frame of the relay's
// size to every subscriber, those that come together in one write; it is neither decoded, ordered nor kept.
import { create } from "@bufbuild/protobuf";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { BodySink } from "../../src/relay/wire/body.ts";
import { encodeFrame } from "../../src/relay/wire/envelope.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import { serveBun } from "../../src/runtime/bun.ts";
import { openBunBody } from "../../src/runtime/bun-body.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { announce } from "./side-channel.ts";

const message = create(SessionMessageSchema, { payload: { case: "heartbeat", value: {} } });
const heartbeat = encodeFrame(SessionMessageSchema, message, "binary");

const subscribers = new Set<BodySink>();

/** Frames of the size that the relay's have in the fan-out, one behind another. */
const frameBytes = 181;
const maxTogether = 1024;
const frames = new Uint8Array(frameBytes * maxTogether);
for (let at = 4; at < frames.length; at += frameBytes) frames[at] = frameBytes - 5;

async function forward(body: ReadableStream<Uint8Array>): Promise<void> {
  const envelopes = createEnvelopeReader(1024);
  let isJoined = false;
  for await (const chunk of body) {
    envelopes.push(chunk);
    let count = 0;
    for (let next = envelopes.take(); next !== undefined; next = envelopes.take()) count += 1;
    if (!isJoined) count -= 1;
    isJoined = true;
    if (count === 0) continue;
    const bytes = frames.subarray(0, count * frameBytes);
    for (const subscriber of subscribers) void subscriber.write(bytes);
  }
}

const server = serveBun({
  host: "127.0.0.1",
  port: 0,
  limits: defaultLimits,
  fetch({ url, body }) {
    const subscribes = url.endsWith("/Subscribe");
    if (!subscribes && body !== null) void forward(body);
    return new Response(
      openBunBody({
        async run(sink) {
          await sink.write(heartbeat);
          if (subscribes) subscribers.add(sink);
          return await new Promise(() => undefined);
        },
        gone: () => undefined,
      }),
      { headers: { "content-type": "application/connect+proto" } },
    );
  },
});
announce(Number(new URL(server.url).port));
