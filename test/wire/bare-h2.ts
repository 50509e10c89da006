// HTTP/2 streams, spoken frame by frame (RFC 9113), for tests in which the client must not read: the clients of
// node:http2 on Bun take what comes whether or not somebody reads it.
import net from "node:net";
import { sessionPath } from "./raw.ts";

const frameType = { data: 0, headers: 1, reset: 3, settings: 4, windowUpdate: 8 };
const endStream = 1;
const endHeaders = 4;

function h2Frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

/** HPACK's plainest form (RFC 7541, 6.2.2): a literal that is not indexed, without Huffman's code. */
function literal([name, value]: [string, string]): Buffer {
  return Buffer.concat([
    Uint8Array.of(0, name.length),
    Buffer.from(name),
    Uint8Array.of(value.length),
    Buffer.from(value),
  ]);
}

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

const anyHeaders = {
  ":method": "POST",
  ":scheme": "http",
  ":path": sessionPath,
  ":authority": "test",
  "content-type": "application/connect+proto",
};

export interface BareStream {
  send(bytes: Uint8Array): void;
  /** Lets the server send as much as it likes on this stream; it begins with 65,535 bytes. */
  openWindow(): void;
  /** The stream's body, as far as it came. */
  received(): Uint8Array;
  /** How many blocks of headers came: one, and one for trailers. */
  headerBlocks(): number;
  /** How the server closed its side: the end of the stream, or the code of a reset. */
  readonly closed: Promise<"end" | number>;
}

/** A connection whose streams are opened by their number; it reads, and never gives a window by itself. */
export function connectBareH2(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const ended = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(h2Frame(frameType.settings, 0, 0, new Uint8Array()));
  const streams = new Map<number, (type: number, flags: number, payload: Buffer) => void>();
  let unread = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= 9 && unread.length >= 9 + unread.readUIntBE(0, 3)) {
      const length = unread.readUIntBE(0, 3);
      const take = streams.get(unread.readUInt32BE(5));
      take?.(unread.readUInt8(3), unread.readUInt8(4), unread.subarray(9, 9 + length));
      unread = unread.subarray(9 + length);
    }
  });
  return {
    socket,
    /** Resolves when the connection is closed. */
    ended,
    openWindow: () => void socket.write(h2Frame(frameType.windowUpdate, 0, 0, uint32(1 << 30))),
    open(streamId: number, headers: Readonly<Record<string, string>> = {}): BareStream {
      const fields = Object.entries({ ...anyHeaders, ...headers });
      const data: Buffer[] = [];
      let headerBlocks = 0;
      const { promise: closed, resolve: close } = Promise.withResolvers<"end" | number>();
      streams.set(streamId, (type, flags, payload) => {
        if (type === frameType.data) data.push(payload);
        if (type === frameType.headers) headerBlocks += 1;
        if (type === frameType.reset) close(payload.readUInt32BE(0));
        else if ((type === frameType.data || type === frameType.headers) && (flags & endStream) !== 0) close("end");
      });
      socket.write(h2Frame(frameType.headers, endHeaders, streamId, Buffer.concat(fields.map(literal))));
      return {
        send: (bytes) => void socket.write(h2Frame(frameType.data, 0, streamId, bytes)),
        openWindow: () => void socket.write(h2Frame(frameType.windowUpdate, 0, streamId, uint32(1 << 30))),
        received: () => new Uint8Array(Buffer.concat(data)),
        headerBlocks: () => headerBlocks,
        closed,
      };
    },
  };
}

/** Stream 1 on a connection of its own. Neither has a window but the one that it begins with, until `openWindow`. */
export function openBareH2(port: number, headers?: Readonly<Record<string, string>>) {
  const connection = connectBareH2(port);
  const stream = connection.open(1, headers);
  return {
    ...stream,
    socket: connection.socket,
    openWindow() {
      connection.openWindow();
      stream.openWindow();
    },
  };
}
