import { readFileSync } from "node:fs";
import { z } from "zod";

/** Put in where the program is made one file (scripts/build-binary.mjs), which has no package.json beside it. */
declare const BATON_BUILT_VERSION: string | undefined;

/** Whether this is that one file, of Bun and the whole command line. */
export const isOneFile = typeof BATON_BUILT_VERSION === "string";

const manifest = z.object({ version: z.string() });

/** The package's own version, from its package.json. */
export function readVersion(): string {
  if (typeof BATON_BUILT_VERSION === "string") return BATON_BUILT_VERSION;
  return manifest.parse(JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"))).version;
}
