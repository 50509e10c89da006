import { Hono } from "hono";
import type { Readiness } from "./readiness.ts";

/**
 * For supervisors and load balancers. `/healthz`: the process lives and answers, 200 even while it starts or drains.
 * `/readyz`: send new clients here; 503 while it starts or drains.
 */
export function createHealthRoutes(readiness: () => Readiness): Hono {
  const fresh = { "Cache-Control": "no-store" };
  return new Hono()
    .get("/healthz", ({ text }) => text("ok\n", 200, fresh))
    .get("/readyz", ({ text }) => {
      const state = readiness();
      return text(`${state}\n`, state === "ready" ? 200 : 503, fresh);
    });
}
