import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/** What a server's process tells of itself. */
export const usageSchema = z.object({
  /** CPU time so far, of all threads: garbage collection and compilers count. */
  cpuUs: z.number(),
  /** Resident memory. */
  rssBytes: z.number(),
  /** What JavaScript holds, in its heap and outside of it. */
  heapBytes: z.number(),
});
export type Usage = z.infer<typeof usageSchema>;

/** The line with which a server begins to serve. */
export const readySchema = z.object({
  port: z.number(),
  /** Of native gRPC, where that has one of its own. */
  grpcPort: z.number().optional(),
});
export type Ready = z.infer<typeof readySchema>;

/** What is asked of it, a line each; each is answered by a `Usage`. "collect": after a full garbage collection. */
export type Question = "usage" | "collect";

/**
 * Tells on stdout where the server listens, and answers on stdin and stdout, so that asking does not touch what is
 * measured. When stdin ends, nobody measures any more, and the process ends.
 */
export function announce(ready: Ready): void {
  const tell = (answer: Ready | Usage) => process.stdout.write(`${JSON.stringify(answer)}\n`);
  createInterface({ input: process.stdin })
    .on("line", (question) => {
      void answer(question).then(tell);
    })
    .on("close", () => process.exit());
  tell(ready);
}

async function answer(question: string): Promise<Usage> {
  if (question === ("collect" satisfies Question)) await collectGarbage();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { cpuUs: user + system, rssBytes: rss, heapBytes: heapUsed + external };
}

/** A collection after which so little more was free was the last. */
const littleBytes = 32 * 1024;
const mostCollections = 12;

/**
 * Again, until nothing more goes: what waits for an event that a collection brings about, or for a peer's last word, goes with
 * a later one. Node wants `--expose-gc`.
 */
async function collectGarbage(): Promise<void> {
  let usedBytes = Number.POSITIVE_INFINITY;
  for (let times = 0; times < mostCollections; times++) {
    if (process.versions.bun !== undefined) Bun.gc(true);
    else globalThis.gc?.();
    await sleep(50);
    const { heapUsed } = process.memoryUsage();
    if (times > 0 && usedBytes - heapUsed < littleBytes) return;
    usedBytes = heapUsed;
  }
}
