import process from "node:process";
import { assertNever } from "../session/reasons.ts";
import { assertCarriesStreams, isOnDeploy } from "./deno-version.ts";
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
 * Listens with what the runtime carries streams best with, for HTTP/1.1 and HTTP/2 on one port. On Deno that is Node's
 * modules (docs/decisions/0005-listener-on-deno.md), except on Deno Deploy, which sends its requests to `Deno.serve` alone.
 * Rejects with a `StartError` where it cannot listen.
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  switch (runtimeName) {
    case "bun":
      return (await import("./bun.ts")).serveBun(options);
    case "deno":
      assertCarriesStreams(process.versions.deno ?? "");
      if (isOnDeploy) return (await import("./deno.ts")).serveDeno(options);
      return await (await import("./node-http2.ts")).serveNode(options);
    case "node":
      return await (await import("./node-http2.ts")).serveNode(options);
    default:
      return assertNever(runtimeName);
  }
}
