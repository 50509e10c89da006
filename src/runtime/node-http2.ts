import type { RunningServer, ServeOptions } from "./bun.ts";
export function serveNode(options: ServeOptions): Promise<RunningServer> {
  return Promise.reject(new Error(`not yet ${options.host}`));
}
