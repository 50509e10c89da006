// A client of WebSocket (RFC 6455) that says exactly the bytes that a test wants, and sees all that come.
import { connect, type Socket } from "node:net";

export const sessionPath = "/codereview.v1.CodeReviewService/CollaborativeSession";

export interface Handshake {
  readonly path?: string;
  readonly subprotocols?: string | undefined;
  /** Over those of a sound handshake; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  /** What stood behind the head. */
  readonly body: string;
}

export interface Closed {
  /** 1006: without a close frame. */
  readonly code: number;
  readonly reason: string;
}

export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

interface FrameOptions {
  readonly opcode?: number;
  readonly isLast?: boolean;
  readonly isMasked?: boolean;
  /** What the head says, whatever follows. */
  readonly length?: number;
}

const maskKey = Buffer.from([1, 2, 3, 4]);
const headEnd = "\r\n\r\n";

/** A frame as a client sends it. */
export function socketFrame(
  data: Uint8Array,
  { opcode = opcodes.binary, isLast = true, isMasked = true, length = data.length }: FrameOptions = {},
): Buffer {
  const short = length < 126 ? length : length < 65_536 ? 126 : 127;
  const head = Buffer.alloc(short < 126 ? 2 : short === 126 ? 4 : 10);
  head[0] = (isLast ? 0x80 : 0) | opcode;
  head[1] = (isMasked ? 0x80 : 0) | short;
  if (short === 126) head.writeUInt16BE(length, 2);
  if (short === 127) head.writeBigUInt64BE(BigInt(length), 2);
  if (!isMasked) return Buffer.concat([head, data]);
  return Buffer.concat([head, maskKey, data.map((byte, at) => byte ^ (maskKey[at & 3] ?? 0))]);
}

/** Asks for a WebSocket; resolves with what was answered, and the connection. */
export async function shakeHands(
  url: string,
  { path = sessionPath, subprotocols = "baton.v1", headers: own = {} }: Handshake = {},
): Promise<Answered & { readonly connection: Socket; readonly rest: Buffer }> {
  const { hostname, port, host } = new URL(url);
  const connection = connect({ host: hostname, port: Number(port), noDelay: true });
  connection.on("error", () => undefined);
  const fields = {
    host,
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...(subprotocols === "" ? {} : { "sec-websocket-protocol": subprotocols }),
    ...own,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
  connection.write(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
  let seen = Buffer.alloc(0);
  await new Promise<void>((resolve) => {
    const look = (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      if (!isWhole(seen)) return;
      connection.pause();
      connection.off("data", look).off("close", resolve);
      resolve();
    };
    connection.on("data", look).on("close", resolve);
  });
  const { status, headers, rest } = parseAnswer(seen);
  return { status, headers, body: rest.toString("utf8"), rest, connection };
}

function isWhole(seen: Buffer): boolean {
  if (!seen.includes(headEnd)) return false;
  const { status, headers, rest } = parseAnswer(seen);
  return status === 101 || rest.length >= Number(headers.get("content-length") ?? Number.POSITIVE_INFINITY);
}

function parseAnswer(seen: Buffer): { readonly status: number; readonly headers: Headers; readonly rest: Buffer } {
  const at = seen.indexOf(headEnd);
  const [first = "", ...lines] = seen.subarray(0, at).toString("latin1").split("\r\n");
  const headers = new Headers(
    lines.map((line): [string, string] => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
  const status = Number(/^HTTP\/1\.1 (\d+)/.exec(first)?.[1] ?? 0);
  return { status, headers, rest: seen.subarray(at + headEnd.length) };
}

/** A WebSocket that is open. */
export class RawSocket {
  readonly connection: Socket;
  readonly handshake: Answered;
  readonly closed: Promise<Closed>;
  /** Messages that came and were not taken yet. */
  readonly received: (Uint8Array | string)[] = [];
  #unread: Buffer;
  #chunks: Buffer[] = [];
  /** How many bytes there have to be for the message that is being read. */
  #missing = 0;
  #isOver = false;
  #wake: () => void = () => undefined;
  #close: Closed = { code: 1006, reason: "" };

  private constructor(connection: Socket, handshake: Answered, rest: Buffer) {
    this.connection = connection;
    this.handshake = handshake;
    this.#unread = rest;
    this.closed = new Promise((resolve) =>
      connection.once("close", () => {
        this.#isOver = true;
        this.#wake();
        resolve(this.#close);
      }),
    );
    connection.on("data", (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#missing -= chunk.length;
      if (this.#missing > 0) return;
      this.#unread = Buffer.concat([this.#unread, ...this.#chunks]);
      this.#chunks = [];
      this.#read();
    });
    this.#read();
    connection.resume();
  }

  static async open(url: string, options: Handshake = {}): Promise<RawSocket> {
    const { connection, rest, ...handshake } = await shakeHands(url, options);
    if (handshake.status !== 101) throw new Error(`${handshake.status} ${handshake.body}`);
    return new RawSocket(connection, handshake, rest);
  }

  send(data: Uint8Array | string, options: FrameOptions = {}): void {
    const isText = typeof data === "string";
    const opcode = isText ? opcodes.text : opcodes.binary;
    this.connection.write(socketFrame(isText ? new TextEncoder().encode(data) : data, { opcode, ...options }));
  }

  /** The next message; undefined: the connection ended before one came. */
  async next(): Promise<Uint8Array | string | undefined> {
    while (this.received.length === 0 && !this.#isOver) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.received.shift();
  }

  /** Closes as RFC 6455 has it. */
  close(code = 1000): void {
    const data = Buffer.alloc(2);
    data.writeUInt16BE(code);
    this.send(data, { opcode: opcodes.close });
  }

  /** Servers send whole messages, unmasked. */
  #read(): void {
    let at = 0;
    for (;;) {
      const bytes = this.#unread.subarray(at);
      if (bytes.length < 2) break;
      const short = bytes.readUInt8(1);
      const headBytes = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (bytes.length < headBytes) break;
      const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
      if (bytes.length < headBytes + length) {
        this.#missing = headBytes + length - bytes.length;
        break;
      }
      this.#take(bytes.readUInt8(0) & 15, bytes.subarray(headBytes, headBytes + length));
      at += headBytes + length;
    }
    this.#unread = this.#unread.subarray(at);
    this.#wake();
  }

  #take(opcode: number, data: Buffer): void {
    if (opcode === opcodes.text) this.received.push(data.toString("utf8"));
    if (opcode === opcodes.binary) this.received.push(new Uint8Array(data));
    if (opcode === opcodes.ping) this.connection.write(socketFrame(data, { opcode: opcodes.pong }));
    if (opcode !== opcodes.close) return;
    this.#close = { code: data.length < 2 ? 1005 : data.readUInt16BE(0), reason: data.subarray(2).toString("utf8") };
    if (!this.connection.writableEnded) this.connection.end(socketFrame(data, { opcode: opcodes.close }));
  }
}
