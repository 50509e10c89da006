// A client of HTTP/2 that does nothing beyond what counting needs, frame by frame (RFC 9113), over Bun's raw sockets:
// a client that decoded each message would cost more than the server that it measures.
import { endStreamFlag } from "@connectrpc/connect/protocol-connect";
import type { Socket } from "bun";

const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 };
const flag = { endStream: 1, ack: 1, endHeaders: 4 };
const frameHeadBytes = 9;
const envelopeHeadBytes = 5;
const largestWindow = 2 ** 31 - 1;
const initialWindow = 65_535;
/** The connection's window is opened again in such steps; a stream's own, once opened, outlasts every measurement. */
const windowStep = 2 ** 28;

/** What came down on some streams. */
export interface Tally {
  messages: number;
  /** Of the messages, their envelopes with them. */
  bytes: number;
  /** DATA frames: what the server wrote, one for each write that reached the wire alone. */
  writes: number;
}

export interface StreamOptions {
  readonly path: string;
  readonly token: string;
  readonly contentType?: string;
  /** Counts this stream, with others. */
  readonly tally: Tally;
  /** Called with each message, its envelope taken off. The bytes are good until it returns. */
  readonly onMessage?: (bytes: Uint8Array) => void;
  /** Called when the server has ended or reset the call, or the connection broke, with the text of Connect's end. */
  readonly onEnd?: (text: string) => void;
}

/** One connection, h2c by prior knowledge. */
export class BareConnection {
  #socket: Socket<undefined> | undefined;
  readonly #streams = new Map<number, BareStream>();
  #nextStreamId = 1;
  #unsent: Buffer[] = [];
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

  private constructor() {}

  /** `takesAll`: its windows are as large as can be; else HTTP/2's own, 64 KiB, and not opened before `resume`. */
  static async open(port: number, takesAll = true): Promise<BareConnection> {
    const connection = new BareConnection();
    connection.#socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data: (_, chunk) => connection.#read(chunk),
        drain: () => connection.#flush(),
        close: () => connection.#closed(),
        error: () => connection.#closed(),
      },
    });
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4, 0); // SETTINGS_INITIAL_WINDOW_SIZE
    settings.writeUInt32BE(takesAll ? largestWindow : initialWindow, 2);
    connection.#send(
      Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameType.settings, 0, 0, settings)]),
    );
    if (takesAll) connection.#openWindow(0);
    return connection;
  }

  stream(options: StreamOptions): BareStream {
    const id = this.#nextStreamId;
    this.#nextStreamId += 2;
    const stream = new BareStream(options, (bytes, ends) => {
      this.#send(frame(frameType.data, ends ? flag.endStream : 0, id, bytes));
    });
    this.#streams.set(id, stream);
    const headers = [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", options.path],
      [":authority", "bench"],
      ["content-type", options.contentType ?? "application/connect+proto"],
      ["connect-protocol-version", "1"],
      ["te", "trailers"],
      ["authorization", `Bearer ${options.token}`],
    ] as const;
    this.#send(frame(frameType.headers, flag.endHeaders, id, Buffer.concat(headers.map(literal))));
    return stream;
  }

  /** Reads nothing more, so that what the server sends fills the sockets' buffers, and then waits there. */
  pause(): void {
    this.#socket?.pause();
  }

  /** Reads again, and opens the windows of a connection that did not take all. */
  resume(stream: BareStream): void {
    this.#socket?.resume();
    for (const [id, open] of this.#streams) if (open === stream) this.#openWindow(id);
    this.#openWindow(0);
  }

  #openWindow(streamId: number): void {
    this.#send(frame(frameType.windowUpdate, 0, streamId, uint32(largestWindow - initialWindow)));
  }

  close(): void {
    this.#socket?.terminate();
  }

  #send(bytes: Buffer): void {
    this.#unsent.push(bytes);
    if (this.#unsent.length === 1) this.#flush();
  }

  #flush(): void {
    for (let next = this.#unsent[0]; next !== undefined; next = this.#unsent[0]) {
      const written = this.#socket?.write(next) ?? 0;
      if (written < next.length) {
        this.#unsent[0] = next.subarray(Math.max(written, 0));
        return;
      }
      this.#unsent.shift();
    }
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
    this.#send(frame(frameType.windowUpdate, 0, 0, uint32(this.#consumed)));
    this.#consumed = 0;
  }

  #endFrame(): void {
    const isAck = (this.#flags & flag.ack) !== 0;
    if (this.#type === frameType.settings && !isAck)
      this.#send(frame(frameType.settings, flag.ack, 0, Buffer.alloc(0)));
    if (this.#type === frameType.ping && !isAck) {
      this.#send(frame(frameType.ping, flag.ack, 0, Buffer.concat(this.#control)));
    }
    const mayEnd = this.#type === frameType.data || this.#type === frameType.headers;
    if (this.#type === frameType.reset || (mayEnd && (this.#flags & flag.endStream) !== 0)) this.#stream?.end();
    this.#control = [];
  }
}

/** One call. */
export class BareStream {
  readonly #options: StreamOptions;
  readonly #send: (bytes: Uint8Array, ends: boolean) => void;
  readonly #head = Buffer.alloc(envelopeHeadBytes);
  #headFilled = 0;
  #left = 0;
  #inMessage = false;
  /** It is Connect's end of the stream that is being read, or was. */
  #isLast = false;
  #endText = "";
  #parts: Buffer[] = [];
  #isEnded = false;

  constructor(options: StreamOptions, send: (bytes: Uint8Array, ends: boolean) => void) {
    this.#options = options;
    this.#send = send;
  }

  /** Sends one DATA frame. The server's window is not minded: what is unanswered at once has to stay below 64 KiB. */
  send(bytes: Uint8Array): void {
    this.#send(bytes, false);
  }

  finish(bytes: Uint8Array): void {
    this.#send(bytes, true);
  }

  wrote(): void {
    this.#options.tally.writes += 1;
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.onEnd?.(this.#endText);
  }

  take(chunk: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (!this.#inMessage) {
        at = this.#takeHead(chunk, at, to);
      } else {
        const end = Math.min(at + this.#left, to);
        this.#left -= end - at;
        if (this.#options.onMessage !== undefined || this.#isLast) this.#parts.push(chunk.subarray(at, end));
        at = end;
      }
      if (this.#inMessage && this.#left === 0) this.#complete();
    }
    // What is kept over the chunk's end is copied: the socket uses its memory again.
    if (this.#parts.length > 0) this.#parts = [Buffer.concat(this.#parts)];
  }

  #takeHead(chunk: Buffer, from: number, to: number): number {
    if (this.#headFilled === 0 && to - from >= envelopeHeadBytes) {
      this.#beginMessage(chunk, from);
      return from + envelopeHeadBytes;
    }
    const taken = chunk.copy(
      this.#head,
      this.#headFilled,
      from,
      Math.min(to, from + envelopeHeadBytes - this.#headFilled),
    );
    this.#headFilled += taken;
    if (this.#headFilled === envelopeHeadBytes) {
      this.#headFilled = 0;
      this.#beginMessage(this.#head, 0);
    }
    return from + taken;
  }

  #beginMessage(source: Buffer, at: number): void {
    this.#isLast = (source.readUInt8(at) & endStreamFlag) !== 0;
    this.#left = source.readUInt32BE(at + 1);
    this.#options.tally.bytes += envelopeHeadBytes + this.#left;
    this.#inMessage = true;
  }

  #complete(): void {
    this.#inMessage = false;
    if (!this.#isLast) this.#options.tally.messages += 1;
    if (this.#options.onMessage === undefined && !this.#isLast) return;
    const [only] = this.#parts;
    const whole = only !== undefined && this.#parts.length === 1 ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    if (this.#isLast) this.#endText = whole.toString();
    else this.#options.onMessage?.(whole);
  }
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, frameHeadBytes);
  return bytes;
}

/** HPACK's plainest form (RFC 7541, 6.2.2): a literal that is not indexed, without Huffman's code. */
function literal([name, value]: readonly [string, string]): Buffer {
  return Buffer.concat([Uint8Array.of(0), lengthOf(name), Buffer.from(name), lengthOf(value), Buffer.from(value)]);
}

/** An integer with a prefix of seven bits (RFC 7541, 5.1). */
function lengthOf(text: string): Buffer {
  if (text.length < 127) return Buffer.of(text.length);
  const bytes = [127];
  let rest = text.length - 127;
  for (; rest >= 128; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Buffer.of(...bytes, rest);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
