import process from "node:process";
import type { WireBindings } from "../relay/wire/endpoint.ts";
import { isSocketRequest } from "../relay/wire/socket.ts";
import { createDenoBodies } from "./deno-body.ts";
import { offerSocket } from "./deno-socket.ts";
import { assertCarriesStreams } from "./deno-version.ts";
import { headerListBytes } from "./header-bytes.ts";
import { type RunningServer, type ServeOptions, startErrorFrom, urlOf } from "./server.ts";

/** What is used of Deno. */
declare const Deno: {
  serve(options: {
    readonly hostname: string;
    readonly port: number;
    readonly cert?: string;
    readonly key?: string;
    readonly automaticCompression: false;
    readonly onListen: () => void;
    readonly onError: () => Response;
    readonly handler: (request: Request) => Response | Promise<Response>;
  }): {
    /** Without a port where `DENO_SERVE_ADDRESS`, which stands before the options, says something else than TCP. */
    readonly addr: { readonly port?: number };
    shutdown(): Promise<void>;
  };
};

/** HTTP/1.1 and HTTP/2 on one port, without trailers. Throws a `StartError` where it cannot listen. */
export function serveDeno(options: ServeOptions): RunningServer {
  assertCarriesStreams(process.versions.deno ?? "");
  const { host, port, tls } = options;
  const bodies = createDenoBodies();
  const server = listen(options, { openBody: bodies.openBody });
  return {
    url: urlOf({ host, port: server.addr.port ?? port, tls }),
    async stop(graceMs) {
      const { promise: graceIsOver, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(() => {
        bodies.cut();
        resolve();
      }, graceMs);
      await Promise.race([server.shutdown(), graceIsOver]);
      clearTimeout(timer);
    },
  };
}

function listen({ host, port, tls, limits, fetch }: ServeOptions, bindings: WireBindings) {
  try {
    return Deno.serve({
      hostname: host,
      port,
      ...(tls && { cert: tls.cert, key: tls.key }),
      // It would hold frames back until there is enough to compress.
      automaticCompression: false,
      async handler(request) {
        if (headerListBytes(request.headers) > limits.headerBytes) return await refuse(request, tooLarge());
        if (!isSocketRequest(request)) {
          const response = await fetch(withQuietSignal(request), bindings);
          return response.ok ? response : await refuse(request, response);
        }
        const handshake = offerSocket();
        const refused = await fetch(withQuietSignal(request), { ...bindings, acceptSocket: handshake.accept });
        return handshake.answer ?? refused;
      },
      // In place of a line for people on stdout.
      onListen: () => undefined,
      // No stack and no source leave the relay. What should not happen here was reported where it was caught; a body that
      // was cut off on purpose comes here too.
      onError: () => new Response(null, { status: 500 }),
    });
  } catch (error) {
    throw startErrorFrom(error, `${host}:${port}`);
  }
}

const tooLarge = () => new Response(null, { status: 431 });

/**
 * An answer that may go before its request has come whole. Over HTTP/1.1 Deno 2.9.6 closes the connection behind it where
 * nobody asked for the request's body, and what still comes is met with a reset, which may overtake the answer; of a body
 * that was let go it takes the rest itself, and keeps the connection. What is answered well is read, or still being read.
 */
async function refuse(request: Request, response: Response): Promise<Response> {
  if (!request.bodyUsed && request.body?.locked === false) await request.body.cancel();
  return response;
}

/**
 * Deno's own signal aborts at the end of each response, also of one that went well, and at the first it says so in a line
 * on stderr (2.9.6). That a peer is gone shows in the bodies: the request's breaks off, or the response's is let go.
 */
function withQuietSignal(request: Request): Request {
  return Object.defineProperty(request, "signal", { value: new AbortController().signal });
}
