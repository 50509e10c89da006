import { connect, type Socket } from "node:net";
import { BareStream, type StreamOptions } from "./bare-stream.ts";
import {
  flag,
  frame,
  frameHeadBytes,
  frameType,
  headersFrame,
  initialWindow,
  largestWindow,
  openWindow,
  preface,
  uint32,
} from "./h2-frames.ts";

/** The connection's window is opened again in such steps; a stream's own, once opened, outlasts every measurement. */
const windowStep = 2 ** 28;

const nothing = Buffer.alloc(0);

/**
 * One connection of a client of HTTP/2 (h2c by prior knowledge) that does nothing beyond what counting needs, frame by
 * frame (RFC 9113): one that decoded each message would cost more than the server that it measures.
 */
export class BareConnection {
  readonly #socket: Socket;
  readonly #streams = new Map<number, BareStream>();
  #nextStreamId = 1;
  readonly #head = Buffer.alloc(frameHeadBytes);
  #headFilled = 0;
  /** Of the frame that is being read. */
  #payloadLeft = 0;
  #type = 0;
  #flags = 0;
  #stream: BareStream | undefined;
  #control: Buffer[] = [];
  #consumed = 0;
  /** Called after each chunk that came, when its messages were counted. */
  onChunk: () => void = () => undefined;

  private constructor(socket: Socket, takesAll: boolean) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => this.#closed());
    socket.write(preface(takesAll ? largestWindow : initialWindow));
    if (takesAll) socket.write(openWindow(0));
  }

  /** `takesAll`: its windows are as wide as can be; else HTTP/2's own, 64 KiB, and not opened before `resume`. */
  static async open(port: number, takesAll = true): Promise<BareConnection> {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new BareConnection(socket, takesAll);
  }

  stream(options: StreamOptions): BareStream {
    const id = this.#nextStreamId;
    this.#nextStreamId += 2;
    const stream = new BareStream(options, (bytes, ends) => {
      this.#socket.write(frame(frameType.data, ends ? flag.endStream : 0, id, bytes));
    });
    this.#streams.set(id, stream);
    this.#socket.write(
      headersFrame(id, [
        [":method", "POST"],
        [":scheme", "http"],
        [":path", options.path],
        [":authority", "bench"],
        ["content-type", options.contentType ?? "application/connect+proto"],
        ["connect-protocol-version", "1"],
        ["te", "trailers"],
        ["authorization", `Bearer ${options.token}`],
      ]),
    );
    return stream;
  }

  /** Reads nothing more, so that what the server sends fills the sockets' buffers, and then waits there. */
  pause(): void {
    this.#socket.pause();
  }

  /** Reads again, and opens the windows of a connection that did not take all. */
  resume(stream: BareStream): void {
    this.#socket.resume();
    for (const [id, open] of this.#streams) if (open === stream) this.#socket.write(openWindow(id));
    this.#socket.write(openWindow(0));
  }

  close(): void {
    this.#socket.destroy();
  }

  #closed(): void {
    for (const stream of this.#streams.values()) stream.end();
    this.#streams.clear();
  }

  #read(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadLeft === 0) {
        at = this.#readHead(chunk, at);
        continue;
      }
      const to = Math.min(at + this.#payloadLeft, chunk.length);
      this.#payloadLeft -= to - at;
      if (this.#type === frameType.data) this.#stream?.take(chunk, at, to);
      else this.#control.push(Buffer.from(chunk.subarray(at, to)));
      at = to;
      if (this.#payloadLeft === 0) this.#endFrame();
    }
    this.onChunk();
  }

  #readHead(chunk: Buffer, from: number): number {
    let source = chunk;
    let at = from;
    if (this.#headFilled === 0 && chunk.length - at >= frameHeadBytes) {
      at += frameHeadBytes;
    } else {
      const taken = chunk.copy(this.#head, this.#headFilled, at, at + frameHeadBytes - this.#headFilled);
      this.#headFilled += taken;
      at += taken;
      if (this.#headFilled < frameHeadBytes) return at;
      this.#headFilled = 0;
      source = this.#head;
    }
    const head = source === chunk ? at - frameHeadBytes : 0;
    this.#payloadLeft = source.readUIntBE(head, 3);
    this.#type = source.readUInt8(head + 3);
    this.#flags = source.readUInt8(head + 4);
    this.#stream = this.#streams.get(source.readUInt32BE(head + 5));
    if (this.#type === frameType.data) {
      this.#stream?.wrote();
      this.#credit(this.#payloadLeft);
    }
    if (this.#payloadLeft === 0) this.#endFrame();
    return at;
  }

  #credit(bytes: number): void {
    this.#consumed += bytes;
    if (this.#consumed < windowStep) return;
    this.#socket.write(frame(frameType.windowUpdate, 0, 0, uint32(this.#consumed)));
    this.#consumed = 0;
  }

  #endFrame(): void {
    const isAck = (this.#flags & flag.ack) !== 0;
    if (this.#type === frameType.settings && !isAck) {
      this.#socket.write(frame(frameType.settings, flag.ack, 0, nothing));
    }
    if (this.#type === frameType.ping && !isAck) {
      this.#socket.write(frame(frameType.ping, flag.ack, 0, Buffer.concat(this.#control)));
    }
    const mayEnd = this.#type === frameType.data || this.#type === frameType.headers;
    if (this.#type === frameType.reset || (mayEnd && (this.#flags & flag.endStream) !== 0)) this.#stream?.end();
    this.#control = [];
  }
}
