import { openBunBody } from "./bun-body.ts";
import { acceptBunSocket, type BunSocketServer, bunSocketHandler } from "./bun-socket.ts";
import { headerListBytes } from "./header-bytes.ts";
import { type RunningServer, type ServeOptions, startErrorFrom } from "./server.ts";

/** HTTP/1.1, with WebSocket, and HTTP/2 on one port, without trailers. Throws a `StartError` where it cannot listen. */
export function serveBun(options: ServeOptions): RunningServer {
  const server = listen(options);
  return {
    url: server.url.origin,
    async stop(graceMs) {
      const timer = setTimeout(() => void server.stop(true), graceMs);
      await server.stop(false);
      clearTimeout(timer);
    },
  };
}

/** The longest idle timeout that Bun takes. */
const maxIdleSeconds = 255;

function listen({ host, port, tls, limits, fetch }: ServeOptions): BunSocketServer {
  try {
    return Bun.serve({
      hostname: host,
      port,
      fetch(request, server) {
        if (headerListBytes(request.headers) > limits.headerBytes) return new Response(null, { status: 431 });
        // A quiet stream is no dead one, and neither what is sent on it nor HTTP/2 PING counts: it has heartbeats of its
        // own. The connection is timed again when its last stream has ended (over HTTP/1.1 it is not: Bun 1.4.5).
        if (isStream(request.headers)) server.timeout(request, 0);
        return fetch(request, {
          openBody: openBunBody,
          acceptSocket: (asking, subprotocol, open) => acceptBunSocket(server, asking, subprotocol, open),
        });
      },
      websocket: bunSocketHandler(limits.messageBytes),
      ...(tls && { tls }),
      http2: true,
      idleTimeout: Math.min(Math.ceil(limits.connectionIdleMs / 1000), maxIdleSeconds),
      // Bun's 128 MiB would end a long stream; each message is bounded where it is read.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      // No error pages. This alone would also let a second relay listen on the same port, in silence (Bun 1.4.5): hence
      // `reusePort`.
      development: false,
      reusePort: false,
      // No stack and no source leave the relay. What should not happen here was reported where it was caught.
      error: () => new Response(null, { status: 500 }),
    });
  } catch (error) {
    throw startErrorFrom(error, `${host}:${port}`);
  }
}

/** By its content type: only Connect speaks of one message otherwise. */
function isStream(headers: Headers): boolean {
  return /^application\/(?:connect\+|grpc)/i.test(headers.get("content-type") ?? "");
}
