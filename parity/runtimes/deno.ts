import { startProcess } from "./process.ts";
import type { Runtime } from "./runtime.ts";

export const deno: Runtime = {
  name: "deno",
  lacks: { gRPC: "`Deno.serve` sends no trailers, in which native gRPC ends, and Deno's `node:http2` is not sound" },
  start: (secret, environment) => startProcess("deno", secret, environment),
};
