import http2 from "node:http2";
import { type ConnectRouter, createClient, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { connectErrorFrom } from "../../../src/relay/wire/errors.ts";
import { BatonError } from "../../../src/session/reasons.ts";

/** Native gRPC over a real socket. */
export async function serveGrpc(register: (router: ConnectRouter) => void) {
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createServer(connectNodeAdapter({ routes: register, interceptors: [tellErrors] }));
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const baseUrl = `http://127.0.0.1:${address.port}`;
  const transport = createGrpcTransport({ baseUrl });
  return {
    baseUrl,
    client: <S extends Parameters<typeof createClient>[0]>(service: S) => createClient(service, transport),
    async stop() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const tellErrors: Interceptor = (next) => async (request) => {
  try {
    const response = await next(request);
    return response.stream ? { ...response, message: telling(response.message) } : response;
  } catch (error) {
    throw tell(error);
  }
};

async function* telling<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* messages;
  } catch (error) {
    throw tell(error);
  }
}

const tell = (error: unknown) => (error instanceof BatonError ? connectErrorFrom(error) : error);
