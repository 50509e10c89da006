import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import process from "node:process";
import { type WebSocket, WebSocketServer } from "ws";
import {
  type AcceptSocket,
  largestSocketMessageBytes,
  type OpenSocket,
  type ServerSocket,
  type SocketListener,
  type SocketMessageKind,
} from "../relay/wire/socket.ts";

/** What came as an upgrade: the request, its connection, and what stood behind its head. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
}

/** Undefined on Bun: what it puts in place of `ws` tells nothing of a peer that is behind, and its own server does better. */
export function createNodeSockets(maxMessageBytes: number): ((upgrade: Upgrade) => AcceptSocket) | undefined {
  if (process.versions.bun !== undefined) return undefined;
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: largestSocketMessageBytes(maxMessageBytes),
  });
  return ({ request, socket, head }) =>
    (_, subprotocol, open) => {
      // `ws` selects the first that was offered, which may be the one that is a token.
      request.headers["sec-websocket-protocol"] = subprotocol;
      server.handleUpgrade(request, socket, head, (ws) => serve(ws, socket, open));
      return new Response(null);
    };
}

function serve(ws: WebSocket, connection: Socket, open: OpenSocket): void {
  const listener: SocketListener = open(new NodeSocket(ws, connection));
  // What happened shows in the close that follows.
  ws.on("error", () => undefined);
  ws.on("message", (data: Buffer, isBinary: boolean) => listener.message(isBinary ? data : data.toString()));
  ws.on("close", () => listener.closed());
}

class NodeSocket implements ServerSocket {
  readonly #ws: WebSocket;
  readonly #connection: Socket;
  #behind: Promise<void> | undefined;

  constructor(ws: WebSocket, connection: Socket) {
    this.#ws = ws;
    this.#connection = connection;
  }

  send(messages: readonly Uint8Array[], kind: SocketMessageKind): Promise<void> | undefined {
    const connection = this.#connection;
    // Its close is told, or about to be: its peer's close frame comes before.
    if (this.#ws.readyState !== this.#ws.OPEN || connection.destroyed) return undefined;
    connection.cork();
    for (const message of messages) this.#ws.send(message, { binary: kind === "binary", compress: false });
    connection.uncork();
    if (!connection.writableNeedDrain) return undefined;
    this.#behind ??= new Promise((resolve) => {
      const settle = () => {
        connection.off("drain", settle).off("close", settle);
        this.#behind = undefined;
        resolve();
      };
      connection.on("drain", settle).on("close", settle);
    });
    return this.#behind;
  }

  pause(): void {
    this.#ws.pause();
  }

  resume(): void {
    this.#ws.resume();
  }

  close(code: number, reason: string): void {
    // Else the peer's answer would not be read.
    this.#ws.resume();
    this.#ws.close(code, reason);
  }

  terminate(): void {
    this.#ws.terminate();
  }
}
