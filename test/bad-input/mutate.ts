/** Numbers at which lengths, tags and signs turn over. */
const edges = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff];

/** Bytes made from sound ones by a few of the slips and tricks that there are; now and then nothing but noise. */
export function mutate(random: () => number, sound: readonly Uint8Array[]): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const noise = (length: number) => Uint8Array.from({ length }, () => below(256));
  const pick = () => sound[below(sound.length)] ?? new Uint8Array();
  if (random() < 0.1) return noise(below(200));
  let bytes: Uint8Array = Uint8Array.from(pick());
  for (let times = below(4); times > 0; times--) {
    const at = below(bytes.length + 1);
    const to = Math.min(bytes.length, at + below(8));
    const [head, middle, tail] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
    switch (below(7)) {
      case 0:
        bytes = Buffer.concat([head, tail]);
        break;
      case 1:
        bytes = Buffer.concat([head, noise(1 + below(4)), middle, tail]);
        break;
      case 2:
        bytes = Buffer.concat([head, middle, middle, tail]);
        break;
      case 3:
        bytes = head;
        break;
      case 4:
        bytes = Buffer.concat([head, pick(), tail]);
        break;
      case 5:
        bytes = Uint8Array.from(bytes);
        bytes[at] = edges[below(edges.length)] ?? 0;
        break;
      default:
        bytes = Uint8Array.from(bytes);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
    }
  }
  return bytes;
}
