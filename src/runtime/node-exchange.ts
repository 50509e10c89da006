import type { Readable, Writable } from "node:stream";
import type { BodySource } from "../relay/wire/body.ts";
import type { WireBindings } from "../relay/wire/endpoint.ts";
import type { AcceptSocket } from "../relay/wire/socket.ts";
import { createSink, readBody, sourceFrom } from "./node-body.ts";
import type { FetchHandler } from "./server.ts";

/** One request and its response, as HTTP/1.1 and HTTP/2 both have them. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly incoming: Readable;
  readonly outgoing: Writable;
  /** Whether the response's end can carry trailers. */
  readonly canSendTrailers: boolean;
  /** Where it can become a WebSocket; it is then no exchange any more. */
  readonly acceptSocket?: AcceptSocket;
  /** Sends the headers; a body follows. */
  begin(status: number, headers: Headers): void;
  /** Ends the body. */
  end(trailers: Headers | undefined): void;
  /** Sends headers that are the whole response. */
  answer(status: number, headers: Headers): void;
  /** Cuts the response off. */
  reset(): void;
}

/** What the handler of a request gave beside its response. */
interface Told {
  source?: BodySource;
  trailers?: Headers;
  isSocket?: true;
}

/** Serves one exchange to its end. Never rejects. */
export async function serveExchange(exchange: Exchange, fetch: FetchHandler): Promise<void> {
  const { incoming, outgoing } = exchange;
  const life = new AbortController();
  const told: Told = {};
  const gone = () => {
    outgoing.off("close", gone);
    if (life.signal.aborted) return;
    life.abort();
    told.source?.gone();
  };
  outgoing.on("close", gone).on("error", gone);
  incoming.on("aborted", gone).on("error", gone);

  const response = await respond(exchange, fetch, life.signal, told);
  if (told.isSocket) return;
  const source = told.source ?? sourceFrom(response.body);
  told.source = source;
  if (life.signal.aborted) return source.gone();
  const { status, headers } = response;
  let hasBegun = false;
  const sink = createSink(outgoing, () => {
    hasBegun = true;
    exchange.begin(status, headers);
  });
  try {
    const end = await source.run(sink);
    if (life.signal.aborted) return;
    if (end === "reset") {
      exchange.reset();
    } else if (hasBegun) {
      exchange.end(told.trailers);
    } else {
      // One frame in place of two. What reads trailers looks here too: gRPC calls it trailers-only.
      told.trailers?.forEach((value, name) => void headers.set(name, value));
      exchange.answer(status, headers);
    }
  } catch {
    exchange.reset();
  }
  outgoing.off("close", gone);
}

/** Holds the request no longer than its handler does. */
async function respond(exchange: Exchange, fetch: FetchHandler, signal: AbortSignal, told: Told): Promise<Response> {
  const { acceptSocket } = exchange;
  const request = createRequest(exchange, signal);
  if (request === undefined) return new Response(null, { status: 400 });
  const bindings: WireBindings = {
    openBody(source) {
      told.source = source;
      return null;
    },
    ...(exchange.canSendTrailers && {
      sendTrailers(trailers: Headers) {
        told.trailers = trailers;
      },
    }),
    ...(acceptSocket && {
      acceptSocket(...args: Parameters<AcceptSocket>) {
        told.isSocket = true;
        return acceptSocket(...args);
      },
    }),
  };
  try {
    return await fetch(request, bindings);
  } catch {
    // No stack and no source leave the relay. What should not happen here was reported where it was caught.
    return new Response(null, { status: 500 });
  }
}

/** Undefined: it is none that fetch knows, such as CONNECT, or one with a bad authority. */
function createRequest({ method, url, headers, incoming }: Exchange, signal: AbortSignal): Request | undefined {
  try {
    const body = method === "GET" || method === "HEAD" ? undefined : readBody(incoming);
    return new Request(url, { method, headers: toHeaders(headers), signal, ...(body && { body, duplex: "half" }) });
  } catch {
    return undefined;
  }
}

function toHeaders(fields: Exchange["headers"]): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || name.startsWith(":")) continue;
    for (const one of typeof value === "string" ? [value] : value) headers.append(name, one);
  }
  return headers;
}
