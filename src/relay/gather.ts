import { concat } from "./concat.ts";

/** After how many bytes of gathered frames a write takes no more of them: with one frame more, all that one stream holds. */
export const gatheredBytes = 64 * 1024;

export interface Gathered {
  readonly bytes: Uint8Array;
  /** Of the items, how many are in it or need not be told. */
  readonly count: number;
}

/** What one write takes of these items, in their order; of the first at least all. `frameOf` undefined: it is not told. */
export function gather<T>(items: Iterable<T>, frameOf: (item: T) => Uint8Array | undefined): Gathered {
  const frames: Uint8Array[] = [];
  let count = 0;
  let bytes = 0;
  for (const item of items) {
    if (bytes >= gatheredBytes) break;
    const frame = frameOf(item);
    count += 1;
    if (frame === undefined) continue;
    frames.push(frame);
    bytes += frame.length;
  }
  return { bytes: concat(frames), count };
}
