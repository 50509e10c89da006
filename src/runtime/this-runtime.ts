import process from "node:process";
import { assertNever } from "../session/reasons.ts";
import type { RunningServer, ServeOptions } from "./server.ts";

export const runtimeNames = ["bun", "node", "deno"] as const;
export type RuntimeName = (typeof runtimeNames)[number];

const titles: Readonly<Record<RuntimeName, string>> = { bun: "Bun", node: "Node", deno: "Deno" };

/**
 * What this process runs on; Bun and Deno say that they are Node too. What depends on it is the listener, chosen below,
 * and the SQLite of the log, chosen beside its drivers; each is loaded only where it runs.
 */
export const runtimeName: RuntimeName =
  process.versions.bun !== undefined ? "bun" : process.versions.deno !== undefined ? "deno" : "node";

/** As people name it, with its version. */
export const runtimeTitle = `${titles[runtimeName]} ${process.versions[runtimeName]}`;

/**
 * Whether native gRPC can be served beside. On Deno 2.9.6 it cannot: its `node:http2` was seen to abort the process, with
 * all its sessions (docs/decisions/0007-deno-without-node-http2.md).
 */
export const carriesNativeGrpc = runtimeName !== "deno";

/**
 * Listens with what the runtime carries streams best with, for HTTP/1.1 and HTTP/2 on one port. Rejects with a
 * `StartError` where it cannot listen.
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  switch (runtimeName) {
    case "bun":
      return (await import("./bun.ts")).serveBun(options);
    case "deno":
      return (await import("./deno.ts")).serveDeno(options);
    case "node":
      return await (await import("./node-http2.ts")).serveNode(options);
    default:
      return assertNever(runtimeName);
  }
}
