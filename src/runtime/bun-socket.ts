import type { OpenSocket, ServerSocket, SocketListener, SocketMessageKind } from "../relay/wire/socket.ts";
import { largestSocketMessageBytes } from "../relay/wire/socket.ts";

/** What a socket of Bun's carries with it. */
export type BunSocketData =
  | { readonly kind: "opening"; readonly open: OpenSocket }
  | { readonly kind: "open"; readonly socket: BunSocket; readonly listener: SocketListener };

type Socket = Bun.ServerWebSocket<{ state: BunSocketData }>;
export type BunSocketServer = Bun.Server<{ state: BunSocketData }>;

const decoder = new TextDecoder();

/**
 * Measured on Bun 1.4.5: `send` gives -1 where the kernel did not take all, and the rest waits here; `drain` comes as often
 * as some of it went off.
 */
class BunSocket implements ServerSocket {
  readonly #socket: Socket;
  #behind: Promise<void> | undefined;
  #settle: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  send(messages: readonly Uint8Array[], kind: SocketMessageKind): Promise<void> | undefined {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return undefined;
    const [only] = messages;
    if (only !== undefined && messages.length === 1) sendOne(socket, only, kind);
    else socket.cork(() => void messages.forEach((message) => void sendOne(socket, message, kind)));
    if (socket.getBufferedAmount() === 0) {
      // Also of what waited: a write that takes it along is followed by no `drain`.
      this.settle();
      return undefined;
    }
    this.#behind ??= new Promise((resolve) => {
      this.#settle = resolve;
    });
    return this.#behind;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(code: number, reason: string): void {
    this.#socket.resume();
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  /** It may take more, or is gone. */
  settle(): void {
    this.#settle?.();
    this.#settle = undefined;
    this.#behind = undefined;
  }
}

function sendOne(socket: Socket, message: Uint8Array, kind: SocketMessageKind): void {
  if (kind === "text") socket.sendText(decoder.decode(message));
  else socket.sendBinary(message);
}

/** The sockets of one server. A peer that is gone shows in the relay's heartbeats: Bun's own pings and idle time are off. */
export const bunSocketHandler = (maxMessageBytes: number): Bun.WebSocketHandler<{ state: BunSocketData }> => ({
  maxPayloadLength: largestSocketMessageBytes(maxMessageBytes),
  // A write that is taken is never dropped: how much one stream has on its way is bounded where it is written.
  backpressureLimit: 0,
  idleTimeout: 0,
  sendPings: false,
  perMessageDeflate: false,
  open(ws) {
    const { state } = ws.data;
    if (state.kind !== "opening") return;
    const socket = new BunSocket(ws);
    ws.data.state = { kind: "open", socket, listener: state.open(socket) };
  },
  message(ws, data) {
    if (ws.data.state.kind === "open") ws.data.state.listener.message(data);
  },
  drain(ws) {
    if (ws.data.state.kind === "open" && ws.getBufferedAmount() === 0) ws.data.state.socket.settle();
  },
  close(ws) {
    if (ws.data.state.kind !== "open") return;
    ws.data.state.socket.settle();
    ws.data.state.listener.closed();
  },
});

export function acceptBunSocket(
  server: BunSocketServer,
  request: Request,
  subprotocol: string,
  open: OpenSocket,
): Response {
  const headers = { "sec-websocket-protocol": subprotocol };
  const isTaken = server.upgrade(request, { headers, data: { state: { kind: "opening", open } } });
  // Where it was, Bun has answered.
  return new Response(null, { status: isTaken ? 200 : 400 });
}
