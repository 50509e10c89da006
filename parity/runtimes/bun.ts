import { startProcess } from "./process.ts";
import type { Runtime } from "./runtime.ts";

export const bun: Runtime = {
  name: "bun",
  start: (secret, environment) => startProcess("bun", secret, environment),
};
