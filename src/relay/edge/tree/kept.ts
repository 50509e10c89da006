import { z } from "zod";
import { wholeSchema } from "./tree-calls.ts";

const keptSchema = z.object({
  /** In which the session was told to others; empty: it was not yet. */
  epoch: z.string(),
  followers: z.array(z.object({ name: z.string(), readers: z.number() })).readonly(),
  /** Of a replica: up to where each of its readers has been handed everything, and what else it was told. */
  mark: wholeSchema.optional(),
});

/** What an object keeps of its place in the tree, for its next life in memory. */
export type Kept = z.output<typeof keptSchema>;

export const encodeKept = (kept: Kept): string => JSON.stringify(kept);

/** Undefined: code of another version kept it, which kept something else. */
export function decodeKept(text: string): Kept | undefined {
  try {
    return keptSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
