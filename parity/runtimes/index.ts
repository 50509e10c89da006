import { bun } from "./bun.ts";
import { deno } from "./deno.ts";
import { node } from "./node.ts";
import type { Runtime } from "./runtime.ts";
import { workerd } from "./workerd.ts";

/** In the table's order. */
export const runtimes: readonly Runtime[] = [bun, deno, node, workerd];
