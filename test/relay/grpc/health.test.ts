import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { CodeReviewService } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../../src/gen/grpc/health/v1/health_pb.ts";
import { registerHealth } from "../../../src/relay/grpc/health.ts";
import { createReadiness, type ReadinessState } from "../../../src/relay/readiness.ts";
import { namesOf } from "../../wire/raw.ts";
import { serveGrpc } from "./serve.ts";

const services = [CodeReviewService, Health];
const served = CodeReviewService.typeName;
const absent = "codereview.v1.NoSuchService";

/** A readiness of which is known how many wait for its next change. */
function createObserved() {
  const readiness = createReadiness();
  let waiting = 0;
  let look = () => {};
  const observed: ReadinessState = {
    get current() {
      return readiness.current;
    },
    become: readiness.become,
    async changed(signal) {
      waiting += 1;
      look();
      await readiness.changed(signal);
      waiting -= 1;
      look();
    },
  };
  return {
    readiness: observed,
    waits: (count: number) =>
      new Promise<void>((resolve) => {
        look = () => {
          if (waiting === count) resolve();
        };
        look();
      }),
  };
}

const caught = async (call: Promise<unknown>) => {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return namesOf(error);
};

describe("grpc.health.v1", () => {
  const { readiness, waits } = createObserved();
  let server: Awaited<ReturnType<typeof serveGrpc>>;
  let health: Client<typeof Health>;
  before(async () => {
    server = await serveGrpc((router) => registerHealth(router, { readiness, services }));
    health = server.client(Health);
  });
  after(() => server.stop());

  const watch = (service: string) => {
    const life = new AbortController();
    const statuses = health.watch({ service }, { signal: life.signal })[Symbol.asyncIterator]();
    return { life, next: async () => (await statuses.next()).value?.status, statuses };
  };

  // One instance has one life: these go through it, in their order.
  test("HR1 HR3 Check and List say NOT_SERVING until the relay is ready, then SERVING", async () => {
    for (const expected of [ServingStatus.NOT_SERVING, ServingStatus.SERVING]) {
      for (const service of ["", served, Health.typeName]) {
        assert.equal((await health.check({ service })).status, expected, service);
      }
      const { statuses } = await health.list({});
      assert.deepEqual(
        Object.entries(statuses).map(([name, { status }]) => [name, status]),
        [
          ["", expected],
          [served, expected],
          [Health.typeName, expected],
        ],
      );
      readiness.become("ready");
    }
  });

  test("HR2 Check of a service that is not served is SERVICE_NOT_FOUND", async () => {
    assert.deepEqual(await caught(health.check({ service: absent })), {
      code: "NotFound",
      reason: "SERVICE_NOT_FOUND",
    });
  });

  test("HR6 a Watch that its caller gives up leaves nobody waiting", async () => {
    const { life, next } = watch("");
    assert.equal(await next(), ServingStatus.SERVING);
    await waits(1);
    life.abort();
    await assert.rejects(next(), (error) => error instanceof ConnectError && error.code === Code.Canceled);
    await waits(0);
  });

  test("HR6 a Watch ends with its deadline", async () => {
    const statuses = health.watch({ service: "" }, { timeoutMs: 200 })[Symbol.asyncIterator]();
    assert.equal((await statuses.next()).value?.status, ServingStatus.SERVING);
    assert.equal((await caught(statuses.next())).code, "DeadlineExceeded");
    await waits(0);
  });

  test("HR4 HR5 Watch tells the status, NOT_SERVING as the drain begins, and ends DRAIN", async () => {
    const watches = ["", served].map(watch);
    for (const { next } of watches) assert.equal(await next(), ServingStatus.SERVING);
    const unknown = watch(absent);
    assert.equal(await unknown.next(), ServingStatus.SERVICE_UNKNOWN);
    await waits(3);
    readiness.become("draining");
    for (const { next, statuses } of watches) {
      assert.equal(await next(), ServingStatus.NOT_SERVING);
      assert.deepEqual(await caught(statuses.next()), { code: "Unavailable", reason: "DRAIN" });
    }
    assert.deepEqual(await caught(unknown.statuses.next()), { code: "Unavailable", reason: "DRAIN" });
    await waits(0);
    assert.equal((await health.check({})).status, ServingStatus.NOT_SERVING);
  });
});

test("HR4 Watch tells a change once, and of one that changes nothing nothing", async () => {
  const { readiness, waits } = createObserved();
  const server = await serveGrpc((router) => registerHealth(router, { readiness, services }));
  const statuses = server.client(Health).watch({ service: served })[Symbol.asyncIterator]();
  assert.equal((await statuses.next()).value?.status, ServingStatus.NOT_SERVING);
  await waits(1);
  readiness.become("starting");
  readiness.become("ready");
  assert.equal((await statuses.next()).value?.status, ServingStatus.SERVING);
  await waits(1);
  readiness.become("draining");
  assert.equal((await statuses.next()).value?.status, ServingStatus.NOT_SERVING);
  await server.stop();
});
