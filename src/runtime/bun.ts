import type { WireBindings } from "../relay/wire/endpoint.ts";
import { openBunBody } from "./bun-body.ts";
import { StartError } from "./start-error.ts";

export interface ServeOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Answers a request; the bindings are what the relay's routes need of the listener. */
  readonly fetch: (request: Request, bindings: WireBindings) => Response | Promise<Response>;
}

export interface RunningServer {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Takes no new connections and waits until the open calls have ended; they are cut when `graceMs` have passed. */
  stop(graceMs: number): Promise<void>;
}

/** HTTP/1.1 and h2c on one port. Throws a `StartError` where it cannot listen. */
export function serveBun({ host, port, fetch }: ServeOptions): RunningServer {
  const server = listen({ host, port, fetch });
  return {
    url: server.url.origin,
    async stop(graceMs) {
      const timer = setTimeout(() => void server.stop(true), graceMs);
      await server.stop(false);
      clearTimeout(timer);
    },
  };
}

function listen({ host, port, fetch }: ServeOptions): Bun.Server<undefined> {
  try {
    return Bun.serve({
      hostname: host,
      port,
      fetch: (request) => fetch(request, { openBody: openBunBody }),
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
    throw new StartError(explain(error, `${host}:${port}`), { cause: error });
  }
}

function explain(error: unknown, address: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return `cannot listen on ${address}: something else does already; stop it or choose another BATON_PORT`;
    case "EACCES":
      return `cannot listen on ${address}: not permitted; ports below 1024 often need privileges`;
    case "EADDRNOTAVAIL":
      return `cannot listen on ${address}: this machine has no such address; check BATON_HOST`;
    default:
      return `cannot listen on ${address}`;
  }
}
