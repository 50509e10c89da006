import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";

const manifestSchema = z.object({ bin: z.record(z.string(), z.string()) });

/** The program of a runtime that npm installed, whichever one this test runs on. */
function installedRuntime(name: "bun" | "node"): string {
  const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
  const { bin } = manifestSchema.parse(JSON.parse(readFileSync(manifest, "utf8")));
  return join(dirname(manifest), bin[name] ?? "");
}

export const runtimes = { bun: installedRuntime("bun"), node: installedRuntime("node") } as const;
