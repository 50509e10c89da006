import assert from "node:assert/strict";
import { ConnectError } from "@connectrpc/connect";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { type Fault, FaultSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Limits } from "../../src/session/limits.ts";
import { type Stream, startRelay, type TestRelay } from "./harness.ts";

/** The headers of an operator's call; by default its token names every session. */
export async function operator(relay: TestRelay, sessions: readonly string[] = ["*"], sub = "operator") {
  const token = await relay.token({ sub, sessions, scope: "session:admin" });
  return { headers: { authorization: `Bearer ${token}` } };
}

/** What a call was refused with. Fails where it was answered. */
export async function refusal(call: Promise<unknown>): Promise<Fault> {
  try {
    await call;
  } catch (error) {
    const [fault] = ConnectError.from(error).findDetails(FaultSchema);
    assert.ok(fault !== undefined, String(error));
    return fault;
  }
  return assert.fail("the call was answered");
}

/** Two instances on one log; on one bus, or with nothing that tells the one of the other, not even the log's doorbell. */
export async function startTwo(options: { shareBus: boolean; limits?: Partial<Limits>; log?: SessionLog }) {
  const log = options.log ?? createMemoryLog(Date.now);
  const bus = createLocalBus((error) => assert.fail(String(error)));
  const start = () =>
    startRelay({
      log: options.shareBus ? log : { ...log, watch: () => () => undefined },
      ...(options.shareBus ? { bus: bus.member() } : {}),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
    });
  const [here, there] = [await start(), await start()];
  return {
    log,
    bus,
    here,
    there,
    async stop() {
      await Promise.all([here.stop(), there.stop()]);
    },
  };
}

/** The stream lives: a message of it is logged. */
export async function assertAlive(stream: Stream, clientSeq: bigint): Promise<void> {
  stream.send({ case: "custom", value: { type: "still here" } }, { clientSeq });
  assert.equal((await stream.take("ack")).clientSeq, clientSeq);
}

/** Resolves once this holds. Fails when it takes longer than anything here may. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) {
    if (Date.now() > deadline) assert.fail("it never came true");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A log one of whose methods waits, once it is told to, until it is let go. */
export function holdLog(method: "append" | "claim" | "latestSnapshot" | "putSnapshot" | "read") {
  const memory = createMemoryLog(Date.now);
  const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let holding = false;
  const log: SessionLog = { ...memory };
  Object.assign(log, {
    [method]: async (...args: unknown[]) => {
      if (holding) {
        ask();
        await released;
      }
      return await Reflect.apply(memory[method], memory, args);
    },
  });
  return {
    log,
    /** The same log, which waits for nothing. */
    memory,
    /** Resolves when the method is waiting. */
    asked,
    release,
    begin() {
      holding = true;
    },
  };
}
