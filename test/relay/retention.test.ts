import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { alice } from "../durable/log-contract.ts";
import { appendBeside } from "./beside.ts";
import { startRelay } from "./harness.ts";
import { assertAlive, until } from "./operators.ts";

const dayMs = 24 * 3_600_000;
const limits = { logAgeMs: 30 * dayMs };
const isThere = async (log: SessionLog, id: string) => (await log.describe(id)) !== undefined;

/** A log of a moment that a test moves, with sessions in it. */
async function createAged(ids: readonly string[]) {
  let nowMs = Date.now();
  const log = createMemoryLog(() => nowMs);
  for (const id of ids) await appendBeside(log, id, { count: 2 });
  return {
    log,
    advance(ms: number) {
      nowMs += ms;
    },
  };
}

describe("sessions go by their age", () => {
  test("BK8 those that nobody touched for long enough are deleted, and no others", async () => {
    const { log, advance } = await createAged(["old-1", "old-2"]);
    advance(2 * dayMs);
    await appendBeside(log, "young");
    await log.claim("old-2", alice, "e");
    const relay = await startRelay({ log, limits });
    try {
      relay.advance(31 * dayMs);
      await until(async () => !(await isThere(log, "old-1")));
      for (const id of ["old-2", "young"]) assert.ok(await isThere(log, id), id);
      assert.equal((await relay.join({ session: "old-1" }).then((stream) => stream.take("welcome"))).headSeq, 0n);
    } finally {
      await relay.stop();
    }
  });

  test("BK8 all of them, page after page", async () => {
    const ids = Array.from({ length: 250 }, (_, n) => `s-${n}`);
    const { log } = await createAged(ids);
    const relay = await startRelay({ log, limits });
    try {
      relay.advance(31 * dayMs);
      await until(async () => (await log.list("", "", 1)).length === 0);
    } finally {
      await relay.stop();
    }
  });

  test("BK8 also those that stand behind a page of others that stay", async () => {
    const { log, advance } = await createAged(["z-old"]);
    advance(2 * dayMs);
    for (let n = 0; n < 150; n++) await log.claim(`a-${n}`, alice, "e");
    const relay = await startRelay({ log, limits });
    try {
      relay.advance(31 * dayMs);
      await until(async () => !(await isThere(log, "z-old")));
      assert.equal((await log.list("", "", 999)).length, 150);
    } finally {
      await relay.stop();
    }
  });

  test("BK9 a session that somebody is in stays, also when it is only read", async () => {
    const { log } = await createAged(["read", "left"]);
    const hourMs = 3_600_000;
    const relay = await startRelay({ log, limits: { logAgeMs: hourMs, heartbeatMs: 3 * hourMs } });
    try {
      const token = await relay.token({ sub: "rita", sessions: ["read"], scope: "session:read", ttlSeconds: 9_000 });
      const reader = await relay.join({ session: "read", token });
      await reader.take("welcome");
      relay.advance(2 * hourMs);
      await until(async () => !(await isThere(log, "left")));
      // Both are on one page.
      assert.ok(await isThere(log, "read"));
      assert.ok(relay.relay.rooms.present("read") !== undefined);
    } finally {
      await relay.stop();
    }
  });

  test("BK9 who comes in while it goes begins anew in an empty one", async () => {
    const { log } = await createAged(["demo"]);
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const held: SessionLog = {
      ...log,
      async delete(...args) {
        ask();
        await released;
        return await log.delete(...args);
      },
    };
    const relay = await startRelay({ log: held, limits });
    try {
      relay.advance(31 * dayMs);
      await asked;
      const token = await relay.token({ sub: "rita", scope: "session:read" });
      const reader = await relay.join({ token });
      assert.equal((await reader.take("welcome")).headSeq, 2n);
      release();
      assert.equal((await reader.ended).fault?.reason, "EPOCH_CHANGED");
      const alice = await relay.join();
      assert.equal((await alice.take("welcome")).headSeq, 0n);
      await assertAlive(alice, 1n);
    } finally {
      release();
      await relay.stop();
    }
  });

  test("BK9 one that was written to after it was looked at stays", async () => {
    const { log, advance } = await createAged(["demo"]);
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const answers: string[] = [];
    const beside: SessionLog = {
      ...log,
      async delete(id, untouchedSinceMs) {
        // Another instance is faster.
        advance(31 * dayMs);
        await appendBeside(log, id);
        answers.push(await log.delete(id, untouchedSinceMs));
        ask();
        return answers.at(-1) ?? "";
      },
    };
    const relay = await startRelay({ log: beside, limits });
    try {
      relay.advance(31 * dayMs);
      await asked;
      assert.deepEqual(answers, [""]);
      assert.equal((await log.describe("demo"))?.head, 3);
    } finally {
      await relay.stop();
    }
  });

  test("BK8 a store that does not answer for a while is asked again", async () => {
    const { log } = await createAged(["demo"]);
    let refusals = 2;
    const failing: SessionLog = {
      ...log,
      list: async (...args) => {
        if (refusals-- > 0) throw new BatonError("LOG_UNAVAILABLE");
        return await log.list(...args);
      },
    };
    const relay = await startRelay({ log: failing, limits });
    try {
      relay.advance(31 * dayMs);
      await until(async () => !(await isThere(log, "demo")));
    } finally {
      await relay.stop();
    }
  });
});
