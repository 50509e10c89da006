import { BatonError } from "../../session/reasons.ts";

const alphabet = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const padding = 0x3d;
const notBase64 = 0xff;
const sextets = new Uint8Array(256).fill(notBase64);
alphabet.forEach((character, sextet) => {
  sextets[character] = sextet;
});

/**
 * Base64 with padding, as the ASCII bytes that go on the wire (RFC 4648, section 4). Not the platform's `toBase64`: Node
 * has it from 25 on, and it makes a string.
 */
export function encodeBase64(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(padding);
  let to = 0;
  for (let at = 0; at < bytes.length; at += 3) {
    const first = bytes[at] ?? 0;
    const second = bytes[at + 1] ?? 0;
    const third = bytes[at + 2] ?? 0;
    text[to] = alphabet[first >>> 2] ?? 0;
    text[to + 1] = alphabet[((first & 3) << 4) | (second >>> 4)] ?? 0;
    if (at + 1 < bytes.length) text[to + 2] = alphabet[((second & 15) << 2) | (third >>> 6)] ?? 0;
    if (at + 2 < bytes.length) text[to + 3] = alphabet[third & 63] ?? 0;
    to += 4;
  }
  return text;
}

export interface Base64Decoder {
  /** What the next piece of the text says. Throws `MALFORMED`, after which the rest means nothing. */
  decode(piece: Uint8Array): Uint8Array<ArrayBuffer>;
  /** Whether the text, if it ended here, would end within four characters that belong together. */
  readonly isIncomplete: boolean;
}

/**
 * Reads base64 that comes in pieces, cut anywhere. Padding may stand in the middle, since every writer of gRPC-Web text
 * pads what it sends together, and says more afterwards.
 */
export function createBase64Decoder(): Base64Decoder {
  /** Of the four characters that are being read: how many came, and how many of those were padding. */
  let count = 0;
  let padded = 0;
  /** Theirs are the lower ones. */
  let bits = 0;

  return {
    decode(piece) {
      const bytes = new Uint8Array(Math.ceil(((count + piece.length) * 3) / 4));
      let to = 0;
      for (const character of piece) {
        const isPadding = character === padding && count >= 2;
        const sextet = isPadding ? 0 : (sextets[character] ?? notBase64);
        if (sextet === notBase64 || (padded > 0 && !isPadding))
          throw new BatonError("MALFORMED", "the body is not base64");
        if (isPadding) padded += 1;
        bits = (bits << 6) | sextet;
        count += 1;
        if (count < 4) continue;
        bytes[to] = bits >>> 16;
        bytes[to + 1] = bits >>> 8;
        bytes[to + 2] = bits;
        to += 3 - padded;
        count = 0;
        padded = 0;
      }
      return bytes.subarray(0, to);
    },
    get isIncomplete() {
      return count > 0;
    },
  };
}
