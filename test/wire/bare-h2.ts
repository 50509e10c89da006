// One HTTP/2 stream, spoken frame by frame (RFC 9113), for tests in which the client must not read: the clients of
// node:http2 on Bun take what comes whether or not somebody reads it.
import net from "node:net";
import { sessionPath } from "./raw.ts";

const frameType = { data: 0, headers: 1, reset: 3, settings: 4, windowUpdate: 8 };
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
function literal([name, value]: readonly [string, string]): Buffer {
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

/** Opens stream 1, and gives it the 65,535 bytes of window that it begins with and no more, until `openWindow`. */
export function openBareH2(port: number) {
  const socket = net.connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  const headers = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", sessionPath],
    [":authority", "test"],
    ["content-type", "application/connect+proto"],
  ] as const;
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(h2Frame(frameType.settings, 0, 0, new Uint8Array()));
  socket.write(h2Frame(frameType.headers, endHeaders, 1, Buffer.concat(headers.map(literal))));

  const data: Buffer[] = [];
  const { promise: closed, resolve: close } = Promise.withResolvers<"end" | number>();
  let unread = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= 9 && unread.length >= 9 + unread.readUIntBE(0, 3)) {
      const length = unread.readUIntBE(0, 3);
      const payload = unread.subarray(9, 9 + length);
      const [type, flags] = [unread.readUInt8(3), unread.readUInt8(4)];
      if (type === frameType.data) {
        data.push(payload);
        if ((flags & 1) !== 0) close("end");
      } else if (type === frameType.reset) {
        close(payload.readUInt32BE(0));
      }
      unread = unread.subarray(9 + length);
    }
  });
  return {
    socket,
    send: (bytes: Uint8Array) => socket.write(h2Frame(frameType.data, 0, 1, bytes)),
    openWindow() {
      socket.write(h2Frame(frameType.windowUpdate, 0, 0, uint32(1 << 30)));
      socket.write(h2Frame(frameType.windowUpdate, 0, 1, uint32(1 << 30)));
    },
    /** The stream's body, as far as it came. */
    received: () => new Uint8Array(Buffer.concat(data)),
    /** How the server closed its side: the end of the stream, or the code of a reset. */
    closed,
  };
}
