import { connect, type Socket } from "node:net";

const headEnd = "\r\n\r\n";
const maskKey = Buffer.from([1, 2, 3, 4]);

/** Who is told of what comes, head by head and piece by piece; it decodes nothing. */
export interface SocketListener {
  /** A message begins, of so many bytes on the wire. */
  message(bytes: number): void;
  /** A piece of it. */
  payload(chunk: Buffer, from: number, to: number): void;
  ended(): void;
}

export interface SocketRequest {
  readonly port: number;
  readonly path: string;
  readonly headers?: readonly string[];
}

/** A client of WebSocket (RFC 6455) that does nothing beyond what counting needs. */
export class BareWebSocket {
  readonly #socket: Socket;
  readonly #listener: SocketListener;
  #isOpen = false;
  /** A head that is not whole. */
  #unread = Buffer.alloc(0);
  /** Of the message that is being read. */
  #left = 0;
  onChunk: () => void = () => undefined;

  private constructor(socket: Socket, { path, headers = [] }: SocketRequest, listener: SocketListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => listener.ended());
    socket.write(
      [
        `GET ${path} HTTP/1.1`,
        "Host: bench",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ...headers,
      ].join("\r\n") + headEnd,
    );
  }

  static async open(request: SocketRequest, listener: SocketListener): Promise<BareWebSocket> {
    const socket = connect({ host: "127.0.0.1", port: request.port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new BareWebSocket(socket, request, listener);
  }

  /** Reads nothing more, so that what the server sends fills the sockets' buffers, and then waits there. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.destroy();
  }

  /** A binary message. The mask is a constant: nobody stands between. */
  send(bytes: Uint8Array): void {
    const head = Buffer.alloc(bytes.length < 126 ? 2 : 4);
    head[0] = 0x82;
    head[1] = 0x80 | Math.min(bytes.length, 126);
    if (bytes.length >= 126) head.writeUInt16BE(bytes.length, 2);
    const masked = bytes.map((byte, index) => byte ^ (maskKey[index & 3] ?? 0));
    this.#socket.write(Buffer.concat([head, maskKey, masked]));
  }

  #read(chunk: Buffer): void {
    let bytes = this.#unread.length > 0 ? Buffer.concat([this.#unread, chunk]) : chunk;
    if (!this.#isOpen) {
      const end = bytes.indexOf(headEnd);
      this.#isOpen = end !== -1;
      if (this.#isOpen) bytes = bytes.subarray(end + headEnd.length);
    }
    this.#unread = Buffer.from(bytes.subarray(this.#isOpen ? this.#take(bytes) : 0));
    this.onChunk();
  }

  /** Where the first head begins that is not whole. */
  #take(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      const to = at + Math.min(this.#left, bytes.length - at);
      if (to > at) this.#listener.payload(bytes, at, to);
      this.#left -= to - at;
      at = to;
      if (bytes.length - at < 2) return at;
      const short = bytes.readUInt8(at + 1) & 127;
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length - at < headBytes) return at;
      this.#left = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      at += headBytes;
      this.#listener.message(headBytes + this.#left);
    }
  }
}
