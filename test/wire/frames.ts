// Enveloped frames, read without anything of the relay.

export interface RawFrame {
  readonly flags: number;
  readonly data: Uint8Array;
}

export function splitFrames(bytes: Uint8Array): RawFrame[] {
  const frames: RawFrame[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at + 1);
    frames.push({ flags: view.getUint8(at), data: bytes.subarray(at + 5, at + 5 + length) });
    at += 5 + length;
  }
  return frames;
}
