import { z } from "zod";
import type { Revocation } from "../../../session/revocation.ts";
import type { Disconnected } from "../../end-streams.ts";

/** What holds of a session at one moment, for an object that follows it. */
const wholeSchema = z.object({
  epoch: z.string(),
  /** The last record of its log. */
  head: z.int().nonnegative(),
  /** Who may write, in a letter of the bus. */
  letter: z.string(),
  /** Streams that only read, elsewhere than below the one that is told. */
  readers: z.int().nonnegative(),
});

const recordSchema = z.object({
  seq: z.int().positive(),
  frame: z.instanceof(Uint8Array<ArrayBufferLike>),
  payloadHash: z.number(),
});

/** What an object tells one that follows it. Whoever does not know a kind asks for the whole. */
export const deliverySchema = z.discriminatedUnion("kind", [
  /** It was told nothing yet, or something was lost on the way. */
  wholeSchema.extend({ kind: z.literal("whole") }),
  /** What came since the last delivery: records without a gap, and letters. */
  z.object({
    kind: z.literal("more"),
    /** Of the records; empty: there are none. */
    epoch: z.string(),
    records: z.array(recordSchema).readonly(),
    letters: z.array(z.string()).readonly(),
    readers: z.int().nonnegative(),
  }),
]);

export { wholeSchema };
export type Whole = z.output<typeof wholeSchema>;
export type Delivery = z.output<typeof deliverySchema>;

/** What an object answers to those below it. */
export interface Parent {
  /**
   * A child, by its name, has so many readers at itself and below; with none it follows no more. `isNew`: it is to be told
   * the whole.
   */
  follow(child: string, readers: number, isNew: boolean): Promise<void>;
}

/** What a replica answers to the object above it. */
export interface Child {
  /** Resolves when it is taken on, with how many readers there are at the child and below; 0: it follows no more. */
  deliver(delivery: Delivery): Promise<number>;
  /** Ends streams at the object and below, and tells how many. */
  disconnect(meant: Disconnected): Promise<number>;
  /** The same of those whose token this revokes. */
  endRevoked(revocation: Revocation): Promise<number>;
}

/**
 * The objects of one session, as they reach each other: by calls, and not by links, since an object that holds an outgoing
 * WebSocket stays in memory for as long as it is open, also where nothing happens. Each call may reject with
 * `LOG_UNAVAILABLE`.
 */
export interface TreeObjects {
  /** The session's own object, or a replica. */
  parent(name: string): Parent;
  child(name: string): Child;
}

/** What the platform gives an object for its place in the tree. */
export interface TreePlatform {
  /** This object's: its session's id, or a replica's name. */
  readonly name: string;
  readonly objects: TreeObjects;
  /** A text that outlives everything. */
  read(): Promise<string | undefined>;
  write(text: string): void;
  /** Nothing of this object is kept any more. */
  forget(): void;
  /** Runs it then, if the object still lives in this memory. */
  later(run: () => void, ms: number): void;
  /** At least 0, less than 1. */
  readonly random: () => number;
}
