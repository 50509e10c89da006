export interface SocketFrame {
  readonly flags: number;
  readonly bytes: Uint8Array;
}

/** A byte of flags, four of length (big-endian). */
const envelopeBytes = 5;

/** The frames of one binary message. Throws a `RangeError` where they are not whole. */
export function* splitFrames(message: Uint8Array): Generator<SocketFrame> {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  for (let at = 0; at < message.length; ) {
    const from = at + envelopeBytes;
    const to = from + view.getUint32(at + 1);
    if (to > message.length) throw new RangeError("a message of the relay ends within a frame");
    yield { flags: view.getUint8(at), bytes: message.subarray(from, to) };
    at = to;
  }
}
