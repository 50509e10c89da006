import { startProcess } from "./process.ts";
import type { Runtime } from "./runtime.ts";

export const deno: Runtime = {
  name: "deno",
  start: (secret, environment) => startProcess("deno", secret, environment),
};
