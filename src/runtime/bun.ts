import type { WireBindings } from "../relay/wire/endpoint.ts";
import { openBunBody } from "./bun-body.ts";
import { type RunningServer, type ServeOptions, startErrorFrom } from "./server.ts";

export type ServeBunOptions = Omit<ServeOptions, "limits">;

const bindings: WireBindings = { openBody: openBunBody };

/** HTTP/1.1 and HTTP/2 on one port, without trailers. Throws a `StartError` where it cannot listen. */
export function serveBun(options: ServeBunOptions): RunningServer {
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

function listen({ host, port, tls, fetch }: ServeBunOptions): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname: host,
      port,
      fetch: (request) => fetch(request, bindings),
      ...(tls && { tls }),
      http2: true,
      // A quiet stream is no dead one, and Bun does not count HTTP/2 PING: streams have heartbeats of their own.
      idleTimeout: 0,
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
