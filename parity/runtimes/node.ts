import { startProcess } from "./process.ts";
import type { Runtime } from "./runtime.ts";

export const node: Runtime = {
  name: "node",
  start: (secret, environment) => startProcess("node", secret, environment),
};
