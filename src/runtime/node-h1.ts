import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { ConnectionServer } from "./node-connections.ts";
import { type Exchange, serveExchange } from "./node-exchange.ts";
import type { ConnectionLimits, FetchHandler } from "./server.ts";

/** How long a client that is still sending has to come to its end when its answer was early, before its connection is cut. */
const lingerMs = 1_000;

export function createH1Server(
  { headerBytes, firstMessageMs, connectionIdleMs }: ConnectionLimits,
  fetch: FetchHandler,
): ConnectionServer {
  const server = createServer({
    maxHeaderSize: headerBytes,
    headersTimeout: firstMessageMs,
    // How often it looks.
    connectionsCheckingInterval: Math.min(firstMessageMs, 1_000),
    // A request's body is a stream, and may be quiet.
    requestTimeout: 0,
    keepAliveTimeout: connectionIdleMs,
  });
  /** What a connection is waited for. Bun has no time limit, neither for its first request nor for the next one. */
  const quiet = new WeakMap<Socket, { open: number; timer: NodeJS.Timeout }>();
  let isDraining = false;
  server.on("request", (request, response) => {
    const { socket } = request;
    const present = quiet.get(socket);
    clearTimeout(present?.timer);
    if (!isPlain(request)) return void response.writeHead(400, { connection: "close" }).end();
    if (present !== undefined) present.open += 1;
    const settle = () => {
      if (isDraining) return end(request);
      if (present === undefined) return;
      present.open -= 1;
      if (present.open === 0) present.timer = setTimeout(() => socket.destroy(), connectionIdleMs);
    };
    response.on("finish", () => {
      if (request.complete || isDraining) settle();
      else finishReading(request, settle);
    });
    void serveExchange(createExchange(request, response), fetch);
  });
  // It never listens itself, and begins to watch the times of its connections only when it does.
  server.emit("listening");
  return {
    take(socket) {
      const state = { open: 0, timer: setTimeout(() => socket.destroy(), firstMessageMs) };
      quiet.set(socket, state);
      socket.once("close", () => clearTimeout(state.timer));
      server.emit("connection", socket);
    },
    drain() {
      isDraining = true;
      server.close();
    },
  };
}

/** What ends a host within a URL, or stands before one: behind it a host that is none would go on as a path. */
const notInHost = /[/?#@\\]/;

/**
 * Whether everybody on its way reads alike whom a request is for and where it ends. The parsers of Node and Bun let pass
 * a host that is none or stands twice; Node's, chunks in HTTP/1.0 (RFC 9112, 3.2 and 6.1).
 */
function isPlain({ rawHeaders, headers, httpVersion }: IncomingMessage): boolean {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host").length;
  if (hosts !== 1 || !headers.host || notInHost.test(headers.host)) return false;
  return httpVersion !== "1.0" || headers["transfer-encoding"] === undefined;
}

/**
 * An answer went before its request had come whole. The client may take that for the end and send its next request on
 * this connection, which nobody told it would be closed: so what still comes is read and dropped, up to a bound.
 */
function finishReading(request: IncomingMessage, settle: () => void): void {
  const timer = setTimeout(() => end(request), lingerMs);
  request.once("close", () => clearTimeout(timer));
  request.once("end", () => {
    clearTimeout(timer);
    settle();
  });
  request.resume();
}

function end({ socket }: IncomingMessage): void {
  socket.end();
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(timer));
}

function createExchange(request: IncomingMessage, response: ServerResponse): Exchange {
  const { method = "", url = "", headers, socket } = request;
  const scheme = "encrypted" in socket ? "https" : "http";
  return {
    method,
    url: url.startsWith("/") ? `${scheme}://${headers.host}${url}` : url,
    headers,
    incoming: request,
    outgoing: response,
    canSendTrailers: false,
    begin: (status, fields) => void response.writeHead(status, Object.fromEntries(fields)),
    end: () => void response.end(),
    answer: (status, fields) => void response.writeHead(status, Object.fromEntries(fields)).end(),
    reset: () => void response.destroy(),
  };
}
