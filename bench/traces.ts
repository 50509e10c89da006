// Editing histories, character by character: real ones from files, or made up.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { z } from "zod";

export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
}

export interface Trace {
  readonly name: string;
  readonly start: string;
  /** Undefined: not known beforehand. */
  readonly end: string | undefined;
  readonly edits: readonly Edit[];
}

const traceFile = z.object({
  startContent: z.string(),
  endContent: z.string(),
  txns: z.array(z.object({ patches: z.array(z.tuple([z.number(), z.number(), z.string()])) })),
});

/** The `*.json.gz` of a folder, as the public collection "editing-traces" has them. */
export function readTraces(folder: string): Trace[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json.gz"))
    .map((name) => {
      const { startContent, endContent, txns } = traceFile.parse(
        JSON.parse(gunzipSync(readFileSync(join(folder, name))).toString("utf8")),
      );
      const edits = txns.flatMap(({ patches }) =>
        patches.map(([from, deleted, insert]) => ({ from, to: from + deleted, insert })),
      );
      return { name: name.replace(".json.gz", ""), start: startContent, end: endContent, edits };
    });
}

/** Runs of typing at places that jump about, lines of some 40 characters, a fifth of it taken back. */
export function synthesizeTrace(count: number): Trace {
  const start = "const answer = 42;\n".repeat(500);
  const edits: Edit[] = [];
  let length = start.length;
  let at = 0;
  let seed = 1;
  const below = (bound: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 4294967296) * bound);
  };
  for (let n = 0; n < count; n++) {
    if (n % 30 === 0) at = below(length + 1);
    const takesBack = n % 5 === 4 && at > 0;
    edits.push(takesBack ? { from: at - 1, to: at, insert: "" } : { from: at, to: at, insert: n % 40 ? "x" : "\n" });
    at += takesBack ? -1 : 1;
    length += takesBack ? -1 : 1;
  }
  return { name: "synthetic", start, end: undefined, edits };
}
