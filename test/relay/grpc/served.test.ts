import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { status } from "@grpc/grpc-js";
import { createBench, type Run } from "../../cli/run-baton.ts";
import { callOnce, callStream, listServices, reflectedClient } from "./grpc-js.ts";

describe("a relay that was started, on its port of native gRPC, by grpc-js", () => {
  const bench = createBench();
  let relay: Run;
  let address: string;
  before(async () => {
    relay = bench.baton(["start", "--port", "0", "--data-dir", bench.folder()]);
    [, address = ""] = await relay.printed(/^Native gRPC: http:\/\/(\S+)$/m);
    await relay.printed(/^curl /m);
  });
  after(() => bench.clean());

  test("HR7 HR11 both versions of reflection list what is served", async () => {
    const services = await listServices(address, "v1");
    for (const name of [
      "codereview.v1.CodeReviewService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]) {
      assert.ok(services.includes(name), name);
    }
    assert.deepEqual(await listServices(address, "v1alpha"), services);
  });

  test("HR1 HR2 a probe is answered as gRPC does", async () => {
    const health = await reflectedClient(address, "grpc.health.v1.Health");
    for (const service of ["", "codereview.v1.CodeReviewService"]) {
      assert.deepEqual(await callOnce(health, "Check", { service }), { status: "SERVING" });
    }
    await assert.rejects(callOnce(health, "Check", { service: "none" }), { code: status.NOT_FOUND });
    health.close();
  });

  test("HR5 who watches is told of a drain, and the stop does not wait for them", async () => {
    const health = await reflectedClient(address, "grpc.health.v1.Health");
    const statuses = callStream(health, "Watch", { service: "" })[Symbol.asyncIterator]();
    assert.deepEqual((await statuses.next()).value, { status: "SERVING" });
    relay.child.kill("SIGTERM");
    assert.deepEqual((await statuses.next()).value, { status: "NOT_SERVING" });
    await assert.rejects(statuses.next(), { code: status.UNAVAILABLE });
    health.close();
    assert.deepEqual(await relay.exit, { code: 0, signal: null });
    assert.deepEqual(
      relay.logs.filter(({ level }) => level !== "INFO"),
      [],
    );
  });
});
