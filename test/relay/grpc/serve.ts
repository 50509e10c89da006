import { type ConnectRouter, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { createHandlerEndpoints } from "../../../src/relay/wire/handlers.ts";
import { createWireRoutes } from "../../../src/relay/wire/router.ts";
import { serveNode } from "../../../src/runtime/node-http2.ts";
import { defaultLimits } from "../../../src/session/limits.ts";

/** Native gRPC over a real socket. */
export async function serveGrpc(register: (router: ConnectRouter) => void) {
  const reported: unknown[] = [];
  const report = (_streamId: string, error: unknown) => void reported.push(error);
  const routes = createWireRoutes(
    createHandlerEndpoints(register, { maxMessageBytes: 64 * 1024, firstMessageMs: 10_000, report }),
  );
  const server = await serveNode({
    host: "127.0.0.1",
    port: 0,
    limits: defaultLimits,
    fetch: (request, bindings) => routes.fetch(request, bindings),
  });
  const transport = createGrpcTransport({ baseUrl: server.url });
  return {
    address: new URL(server.url).host,
    /** What the client saw as an internal error. */
    reported,
    client: <S extends Parameters<typeof createClient>[0]>(service: S) => createClient(service, transport),
    stop: () => server.stop(0),
  };
}
