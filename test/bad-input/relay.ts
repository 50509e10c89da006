import { serveNode } from "../../src/runtime/node-http2.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { type RelaySetup, startRelay as startOne } from "../relay/harness.ts";

/** A relay with every way in: as the harness starts it, and with a second listener, which can send trailers. */
export async function startRelay(setup: RelaySetup = {}) {
  const relay = await startOne(setup);
  const grpc = await serveNode({
    host: "127.0.0.1",
    port: 0,
    limits: { ...defaultLimits, ...setup.limits },
    fetch: (request, bindings) => relay.routes.fetch(request, bindings),
  });
  return {
    ...relay,
    grpcUrl: grpc.url,
    async stop() {
      await relay.stop();
      await grpc.stop(200);
    },
  };
}

export type TestRelay = Awaited<ReturnType<typeof startRelay>>;
