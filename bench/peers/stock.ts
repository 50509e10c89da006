// The peer: what one writes with connect-es alone, on Bun or on Node. A handler yields each message from its participant's queue; no log,
// no tokens, no limits, no order beyond the event loop's.
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { createFetchHandler } from "@connectrpc/connect/protocol";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { announce } from "../../src/cli/bench/side-channel.ts";
import {
  CodeReviewService,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { runtimeName, serve } from "../../src/runtime/this-runtime.ts";
import { defaultLimits } from "../../src/session/limits.ts";

class Queue {
  readonly #messages: SessionMessage[] = [];
  #wake: () => void = () => undefined;

  push(message: SessionMessage): void {
    this.#messages.push(message);
    this.#wake();
  }

  async *read(signal: AbortSignal): AsyncGenerator<SessionMessage> {
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    while (!signal.aborted) {
      for (let next = this.#messages.shift(); next !== undefined; next = this.#messages.shift()) yield next;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const participants = new Set<Queue>();
let seq = 0n;

const heartbeat = create(SessionMessageSchema, { payload: { case: "heartbeat", value: {} } });

const sender = { sessionId: "bench", userId: "publisher", clientId: crypto.randomUUID() };

const routes = (router: ConnectRouter) =>
  router.service(CodeReviewService, {
    async *collaborativeSession(messages) {
      yield heartbeat;
      for await (const message of messages) {
        if (message.payload.case !== "custom") continue;
        seq += 1n;
        // What the relay sets: so that the same bytes go out.
        const said = create(SessionMessageSchema, { ...message, ...sender, seq, timestamp: BigInt(Date.now()) });
        for (const participant of participants) participant.push(said);
      }
    },
    async *subscribe(_, { signal }) {
      const queue = new Queue();
      participants.add(queue);
      try {
        yield heartbeat;
        yield* queue.read(signal);
      } finally {
        participants.delete(queue);
      }
    },
  });

if (runtimeName === "node") {
  const server = createServer({ settings: { maxConcurrentStreams: 1_000 } }, connectNodeAdapter({ routes }));
  server.listen(0, "127.0.0.1", () => announce({ port: (server.address() as AddressInfo).port }));
} else {
  const { handlers } = routes(createConnectRouter());
  const paths = new Map(handlers.map((handler) => [handler.requestPath, createFetchHandler(handler)]));
  const server = await serve({
    host: "127.0.0.1",
    port: 0,
    limits: defaultLimits,
    fetch: (request) => paths.get(new URL(request.url).pathname)?.(request) ?? new Response(null, { status: 404 }),
  });
  announce({ port: Number(new URL(server.url).port) });
}
