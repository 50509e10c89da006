import { Hono } from "hono";
import type { Readiness } from "./readiness.ts";

/**
 * For supervisors and load balancers. `/healthz`: the process lives and answers, 200 even while it starts or drains.
 * `/readyz`: send new clients here; 503 while it starts or drains.
 */
export function createHealthRoutes(readiness: () => Readiness): Hono {
  const app = new Hono();
  app.use(async ({ header }, next) => {
    header("Cache-Control", "no-store");
    await next();
  });
  app.get("/healthz", ({ text }) => text("ok\n"));
  app.get("/readyz", ({ text }) => {
    const state = readiness();
    return text(`${state}\n`, state === "ready" ? 200 : 503);
  });
  return app;
}
