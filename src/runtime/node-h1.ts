import { createServer, type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { type AcceptSocket, isSocketRequest } from "../relay/wire/socket.ts";
import type { ConnectionServer } from "./node-connections.ts";
import { type Exchange, serveExchange } from "./node-exchange.ts";
import { createNodeSockets } from "./node-socket.ts";
import type { ConnectionLimits, FetchHandler } from "./server.ts";

/** How long a client that is still sending has to come to its end when its answer was early, before its connection is cut. */
const lingerMs = 1_000;

export function createH1Server(limits: ConnectionLimits, fetch: FetchHandler): ConnectionServer {
  const { headerBytes, firstMessageMs, connectionIdleMs, messageBytes } = limits;
  const server = createServer({
    maxHeaderSize: headerBytes,
    headersTimeout: firstMessageMs,
    // How often it looks.
    connectionsCheckingInterval: Math.min(firstMessageMs, 1_000),
    // A request's body is a stream, and may be quiet.
    requestTimeout: 0,
    keepAliveTimeout: connectionIdleMs,
    // Node before 22.21 and 24.9 does not ask, and takes every upgrade for one.
    shouldUpgradeCallback: asksForSocket,
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
  const acceptSocket = createNodeSockets(messageBytes);
  if (acceptSocket === undefined) {
    // Without this Bun cuts the connection off.
    server.on("upgrade", (_, socket: Socket) => void socket.end(noSocketAnswer));
  } else {
    server.on("upgrade", (request: IncomingMessage, socket: Socket, head: Buffer) => {
      clearTimeout(quiet.get(socket)?.timer);
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(socket);
      response.on("finish", () => end(request));
      if (!isPlain(request)) return void response.writeHead(400).end();
      const exchange = createExchange(request, response);
      const accept: AcceptSocket = (...args) => {
        response.detachSocket(socket);
        return acceptSocket({ request, socket, head })(...args);
      };
      void serveExchange({ ...exchange, acceptSocket: accept }, fetch);
    });
  }
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

const noSocket = "this listener serves no WebSocket; the relay's main port does";
const noSocketAnswer = `HTTP/1.1 501 Not Implemented\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${noSocket.length}\r\n\r\n${noSocket}`;

/** Another upgrade, such as curl's to HTTP/2, is none that has to be taken. */
const asksForSocket = ({ method = "", headers }: IncomingMessage) =>
  isSocketRequest({ method, headers: new Headers({ upgrade: headers.upgrade ?? "" }) });

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
