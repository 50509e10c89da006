import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { RuntimeName } from "../../src/runtime/this-runtime.ts";

const manifestSchema = z.object({ version: z.string(), bin: z.record(z.string(), z.string()).or(z.string()) });

/** A runtime that npm installed, whichever one this program runs on: its version, and the path of its program. */
export function findInstalled(name: RuntimeName) {
  const path = createRequire(import.meta.url).resolve(`${name}/package.json`);
  const { version, bin } = manifestSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  return { version, program: typeof bin === "string" ? programOfDeno(path) : join(dirname(path), bin[name] ?? "") };
}

/** The command in the package is a script of Node that hands no signal on to the program. */
function programOfDeno(manifest: string): string {
  return z.string().parse(createRequire(manifest)("./install_api.cjs").runInstall());
}

function isInstalled(name: RuntimeName): boolean {
  try {
    return existsSync(findInstalled(name).program);
  } catch {
    return false;
  }
}

export const runtimes = {
  bun: findInstalled("bun").program,
  node: findInstalled("node").program,
  /** Empty where it is not installed: npm has it for fewer machines. */
  deno: isInstalled("deno") ? findInstalled("deno").program : "",
} as const satisfies Readonly<Record<RuntimeName, string>>;

/** What a test that needs Deno says behind its name where there is none. */
export const unlessDeno = runtimes.deno === "" ? " (skipped: Deno is not installed)" : "";
