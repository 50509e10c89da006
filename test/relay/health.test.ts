import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createHealthRoutes } from "../../src/relay/health.ts";
import type { Readiness } from "../../src/relay/readiness.ts";

describe("health", () => {
  test("CL18 /healthz is 200 while the process lives; /readyz only while it takes clients", async () => {
    let readiness: Readiness = "starting";
    const app = createHealthRoutes(() => readiness);
    const statuses: Record<string, readonly number[]> = {};
    for (readiness of ["starting", "ready", "draining"] as const) {
      statuses[readiness] = [(await app.request("/healthz")).status, (await app.request("/readyz")).status];
    }
    assert.deepEqual(statuses, { starting: [200, 503], ready: [200, 200], draining: [200, 503] });
    assert.equal(await (await app.request("/readyz")).text(), "draining\n");
    assert.equal((await app.request("/healthz", { method: "POST" })).status, 404);
  });
});
