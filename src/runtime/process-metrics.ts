import { collectDefaultMetrics, Registry } from "prom-client";
import type { Metrics } from "../relay/metrics/registry.ts";

let registry: Registry | undefined;

/** Of the process: CPU time, memory, file descriptors, lag of the event loop. Its observers are the process's too: made once. */
export function processMetrics(): Metrics {
  const present = registry ?? new Registry();
  if (registry === undefined) collectDefaultMetrics({ register: present });
  registry = present;
  return { contentType: present.contentType, text: () => present.metrics() };
}
