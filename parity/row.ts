import type { RunningRelay } from "./runtimes/runtime.ts";
import type { Scene } from "./scene.ts";
import type { Way } from "./ways/way.ts";

interface Named {
  readonly name: string;
  /** What holds, for the table. */
  readonly says: string;
  /** Why a way cannot have it; undefined: it has. */
  readonly lacks?: (way: Way) => string | undefined;
}

/** Each way does it, all beside one another. Rejects with what is wrong. */
export interface CalmRow extends Named {
  readonly kind: "calm";
  run(scene: Scene): Promise<void>;
}

/** Something befalls the relay, once, while each way is in the middle of something. */
export interface UpheavalRow extends Named {
  readonly kind: "upheaval";
  /** Resolves once the relay may be upheaved, with what is to be done afterwards. */
  begin(scene: Scene): Promise<() => Promise<void>>;
  /** Resolves once the relay is there again. */
  upheave(relay: RunningRelay): Promise<void>;
}

export type Row = CalmRow | UpheavalRow;

/** For rows that a stream down and calls up cannot have. */
export const notSplit = (says: string) => (way: Way) => (way.carriage === "split" ? says : undefined);
