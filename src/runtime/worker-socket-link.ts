import type { HostLink } from "../relay/edge/host-platform.ts";

/** A link is a hibernatable WebSocket, and its note the socket's attachment. */
export class SocketLink implements HostLink {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  send(message: Uint8Array<ArrayBuffer>): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  close(): void {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    // Until the gateway has answered, the platform counts the socket among the object's: not as a stream's any more.
    this.#socket.serializeAttachment(null);
    this.#socket.close(1000);
  }

  note(value: string): void {
    this.#socket.serializeAttachment(value);
  }

  get noted(): string | undefined {
    const noted: unknown = this.#socket.deserializeAttachment();
    return typeof noted === "string" ? noted : undefined;
  }
}
