/**
 * A 53-bit hash of bytes, as an integer (cyrb53: two 32-bit multiply-xor lanes, by bryc, public domain). It tells a
 * repeated message from another one under the same number, which guards a client against its own mistakes; it is no
 * defence against somebody who wants a collision, and none is needed: the number is that somebody's own.
 */
export function hashBytes(bytes: Uint8Array, seed = 0): number {
  let a = 0xdeadbeef ^ seed;
  let b = 0x41c6ce57 ^ seed;
  // By index: an iterator over bytes costs as much as the hash.
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0;
    a = Math.imul(a ^ byte, 2654435761);
    b = Math.imul(b ^ byte, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return 4294967296 * (2097151 & b) + (a >>> 0);
}
