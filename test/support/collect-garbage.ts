import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { z } from "zod";

/** Node gives its collector away only to a context that was made after the flag. */
function nodeCollector(): () => void {
  setFlagsFromString("--expose-gc");
  const gc = z.custom<() => void>((value) => typeof value === "function").parse(runInNewContext("gc"));
  return () => gc();
}

/** Collects all garbage before it returns, on each runtime. */
export const collectGarbage: () => void = "Bun" in globalThis ? () => Bun.gc(true) : nodeCollector();
