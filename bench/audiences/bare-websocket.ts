import { connect, type Socket } from "node:net";
import type { Tally } from "../../src/cli/bench/bare-stream.ts";

const headEnd = "\r\n\r\n";
const maskKey = Buffer.from([1, 2, 3, 4]);

/** A client of WebSocket (RFC 6455) that counts messages by their frames and looks into none. */
export class BareWebSocket {
  readonly #socket: Socket;
  readonly #tally: Tally;
  #isOpen = false;
  #unread = Buffer.alloc(0);
  /** Of the message that is being read. */
  #left = 0;
  onChunk: () => void = () => undefined;

  constructor(socket: Socket, path: string, tally: Tally, onEnd: () => void) {
    this.#socket = socket;
    this.#tally = tally;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => undefined);
    socket.on("close", onEnd);
    socket.write(
      [
        `GET ${path} HTTP/1.1`,
        "Host: bench",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ].join("\r\n") + headEnd,
    );
  }

  static async open(port: number, path: string, tally: Tally, onEnd: () => void): Promise<BareWebSocket> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new BareWebSocket(socket, path, tally, onEnd);
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
    this.#unread = Buffer.from(bytes.subarray(this.#isOpen ? this.#count(bytes) : 0));
    this.onChunk();
  }

  /** Where the first head begins that is not whole. */
  #count(bytes: Buffer): number {
    let at = 0;
    for (;;) {
      const skipped = Math.min(this.#left, bytes.length - at);
      this.#left -= skipped;
      at += skipped;
      if (bytes.length - at < 2) return at;
      const short = bytes.readUInt8(at + 1) & 127;
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length - at < headBytes) return at;
      this.#left = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : bytes.readUInt32BE(at + 6);
      at += headBytes;
      // Counted when its first byte is there: what is under way is less than one for each reader.
      this.#tally.messages += 1;
      this.#tally.writes += 1;
      this.#tally.bytes += headBytes + this.#left;
    }
  }
}
