import process from "node:process";
import type { RunningServer, ServeOptions } from "./server.ts";

export const runtimeNames = ["bun", "node"] as const;
export type RuntimeName = (typeof runtimeNames)[number];

/**
 * What this process runs on. What depends on it is the listener, chosen below, and the SQLite of the log, chosen beside
 * its drivers; each is loaded only where it runs.
 */
export const runtimeName: RuntimeName = process.versions.bun === undefined ? "node" : "bun";

/** As people name it, with its version. */
export const runtimeTitle =
  process.versions.bun === undefined ? `Node ${process.versions.node}` : `Bun ${process.versions.bun}`;

/**
 * Listens with what the runtime carries streams best with, for HTTP/1.1 and HTTP/2 on one port. Rejects with a
 * `StartError` where it cannot listen.
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  if (runtimeName === "bun") return (await import("./bun.ts")).serveBun(options);
  return await (await import("./node-http2.ts")).serveNode(options);
}
