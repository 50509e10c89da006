import process from "node:process";
import { z } from "zod";

/** What a server's process tells of itself. */
export const usageSchema = z.object({ cpuUs: z.number(), rssBytes: z.number() });
export type Usage = z.infer<typeof usageSchema>;

/** The line with which a server begins to serve. */
export const readySchema = z.object({ port: z.number(), sidePort: z.number() });

/** Tells where the server listens, and answers on a port of its own, so that asking does not touch what is measured. */
export function announce(port: number): void {
  const side = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      if (new URL(request.url).pathname === "/collect") Bun.gc(true);
      const { user, system } = process.cpuUsage();
      return Response.json({ cpuUs: user + system, rssBytes: process.memoryUsage.rss() } satisfies Usage);
    },
  });
  process.once("SIGTERM", () => process.exit());
  console.log(JSON.stringify({ port, sidePort: side.port ?? 0 } satisfies z.infer<typeof readySchema>));
}
