import process from "node:process";
import { createInterface } from "node:readline";
import { z } from "zod";

/** What a server's process tells of itself. */
export const usageSchema = z.object({ cpuUs: z.number(), rssBytes: z.number() });
export type Usage = z.infer<typeof usageSchema>;

/** The line with which a server begins to serve. */
export const readySchema = z.object({ port: z.number() });

/** What is asked of it, a line each; each is answered by a `Usage`. "collect": after a full garbage collection. */
export type Question = "usage" | "collect";

/**
 * Tells on stdout where the server listens, and answers on stdin and stdout, so that asking does not touch what is
 * measured. When stdin ends, nobody measures any more, and the process ends.
 */
export function announce(port: number): void {
  const tell = (answer: z.infer<typeof readySchema> | Usage) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  createInterface({ input: process.stdin })
    .on("line", (question) => {
      if (question === ("collect" satisfies Question)) collectGarbage();
      const { user, system } = process.cpuUsage();
      tell({ cpuUs: user + system, rssBytes: process.memoryUsage.rss() });
    })
    .on("close", () => process.exit());
  tell({ port });
}

/** Node has to be started with `--expose-gc`. */
function collectGarbage(): void {
  if (process.versions.bun !== undefined) Bun.gc(true);
  else globalThis.gc?.();
}
