import type { AcceptSocket, ServerSocket, SocketMessageKind } from "../relay/wire/socket.ts";

/** A client's WebSocket. workerd refuses handshakes that are none by itself. */
export const acceptWorkerSocket: AcceptSocket = (_request, subprotocol, open) => {
  const { 0: client, 1: server } = new WebSocketPair();
  server.binaryType = "arraybuffer";
  server.accept();
  const socket = new WorkerSocket(server);
  const listener = open(socket);
  let isOver = false;
  const over = () => {
    if (isOver) return;
    isOver = true;
    listener.closed();
  };
  server.addEventListener("message", ({ data }) => {
    if (isOver) return;
    if (typeof data === "string") listener.message(data);
    else if (data instanceof ArrayBuffer) listener.message(new Uint8Array(data));
  });
  server.addEventListener("close", over);
  server.addEventListener("error", over);
  return new Response(null, { status: 101, webSocket: client, headers: { "sec-websocket-protocol": subprotocol } });
};

const decoder = new TextDecoder();

/** workerd tells nothing of a peer that is behind (2026-11): the gateway asks the client itself, by heartbeats. */
class WorkerSocket implements ServerSocket {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  send(messages: readonly Uint8Array[], kind: SocketMessageKind): undefined {
    for (const message of messages) this.#socket.send(kind === "text" ? decoder.decode(message) : message);
  }

  close(code: number, reason: string): void {
    try {
      this.#socket.close(code, reason);
    } catch {
      // The client was first.
    }
  }

  /** There is no way to cut one off; what its peer does not take ends with the request. */
  terminate(): void {
    this.close(1011, "");
  }
}
