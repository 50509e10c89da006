// What a client of HTTP/2 writes (RFC 9113), as far as the bench needs it.

export const frameType = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 };
export const flag = { endStream: 1, ack: 1, endHeaders: 4 };
export const frameHeadBytes = 9;
export const largestWindow = 2 ** 31 - 1;
/** As HTTP/2 begins. */
export const initialWindow = 65_535;

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, frameHeadBytes);
  return bytes;
}

/** What a connection begins with: the window of each of its streams. */
export function preface(streamWindow: number): Buffer {
  const settings = Buffer.alloc(6);
  settings.writeUInt16BE(4, 0); // SETTINGS_INITIAL_WINDOW_SIZE
  settings.writeUInt32BE(streamWindow, 2);
  return Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameType.settings, 0, 0, settings)]);
}

/** Opens a window of HTTP/2's own size as wide as can be. Stream 0: the connection's. */
export function openWindow(streamId: number): Buffer {
  return frame(frameType.windowUpdate, 0, streamId, uint32(largestWindow - initialWindow));
}

export function headersFrame(streamId: number, headers: readonly (readonly [string, string])[]): Buffer {
  return frame(frameType.headers, flag.endHeaders, streamId, Buffer.concat(headers.map(literal)));
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

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
