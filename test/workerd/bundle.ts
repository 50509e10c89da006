import { buildSync } from "esbuild";

/**
 * A worker's modules as one, as `wrangler` bundles them: what the runtime brings stays outside.
 *
 * @param entry the module with the worker and the classes of its objects
 */
export function bundleWorker(entry: string): string {
  const { outputFiles } = buildSync({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    platform: "browser",
    mainFields: ["workerd", "worker", "browser", "module", "main"],
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*", "workerd:*"],
    sourcemap: "inline",
    logLevel: "error",
  });
  const [output] = outputFiles;
  if (output === undefined) throw new Error(`nothing was made of ${entry}`);
  return output.text;
}
