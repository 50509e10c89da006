import { bun } from "./bun.ts";
import { node } from "./node.ts";
import type { Runtime } from "./runtime.ts";

/** In the table's order. */
export const runtimes: readonly Runtime[] = [bun, node];
