import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { BatonError } from "../../../src/session/reasons.ts";
import { startEdge, type TestEdge } from "./harness.ts";

const custom = { case: "custom", value: { type: "t", data: new Uint8Array(8) } } as const;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe("an object that takes its time to come into memory", () => {
  let edge: TestEdge;
  before(async () => {
    edge = await startEdge({ wakes: () => pause(100) });
  });
  after(() => edge.stop());

  for (const kind of ["connect", "websocket"] as const) {
    test(`EG40 what its client says right behind the Join is taken in its turn (${kind})`, async () => {
      const alice = await edge.join({ as: "alice", session: `behind-${kind}`, kind });
      alice.send(custom, { clientSeq: 1n });
      alice.send(custom, { clientSeq: 2n });
      alice.finish();
      await alice.take("welcome");
      assert.equal((await alice.take("ack")).seq, 1n);
      assert.equal((await alice.take("ack")).seq, 2n);
      assert.equal((await alice.ended).error, undefined);
    });

    test(`EG40 one that has nothing to say has its Welcome, and a good end (${kind})`, async () => {
      const alice = await edge.join({ as: "alice", session: `nothing-${kind}`, kind });
      alice.finish();
      await alice.take("welcome");
      assert.equal((await alice.ended).error, undefined);
    });
  }
});

describe("an object that cannot come into memory", () => {
  test("EG41 tells each link why, and tries again with the next event", async () => {
    let isAway = true;
    const edge = await startEdge({
      evicts: () => false,
      async wakes() {
        await pause(20);
        if (isAway) throw new BatonError("LOG_UNAVAILABLE");
      },
    });
    try {
      for (let n = 1; n <= 2; n++) {
        const alice = await edge.join({ as: "alice" });
        alice.send(custom, { clientSeq: 1n });
        assert.equal((await alice.ended).fault?.reason, "LOG_UNAVAILABLE");
      }
      isAway = false;
      const alice = await edge.join({ as: "alice" });
      await alice.take("welcome");
      alice.cut();
    } finally {
      await edge.stop();
    }
  });

  test("EG41 tells those who were in a session that its log does not give any more", async () => {
    let isDamaged = false;
    const edge = await startEdge({
      log: (log) => ({
        ...log,
        async describe(sessionId) {
          if (isDamaged) throw new BatonError("LOG_DAMAGED");
          return await log.describe(sessionId);
        },
      }),
    });
    try {
      const alice = await edge.join({ as: "alice" });
      await alice.take("welcome");
      const bob = await edge.join({ as: "bob" });
      await bob.take("welcome");
      alice.send(custom, { clientSeq: 1n });
      await bob.take("custom");
      isDamaged = true;
      alice.send(custom, { clientSeq: 2n });
      for (const stream of [alice, bob]) assert.equal((await stream.ended).fault?.reason, "LOG_DAMAGED");
    } finally {
      await edge.stop();
    }
  });
});

describe("an object that finds what code of another version kept", () => {
  test("EG48 sends the client of that link to come back, and goes on with the others", async () => {
    const edge = await startEdge();
    try {
      const alice = await edge.join({ as: "alice" });
      await alice.take("welcome");
      const bob = await edge.join({ as: "bob" });
      await bob.take("welcome");
      alice.send(custom, { clientSeq: 1n });
      await bob.take("custom");
      edge.objects.object("demo").spoil();
      bob.send(custom, { clientSeq: 1n });
      assert.equal((await bob.take("ack")).seq, 2n);
      assert.equal((await alice.ended).fault?.reason, "DRAIN");
      const again = await edge.join({ as: "alice" });
      assert.equal((await again.take("welcome")).headSeq, 2n);
      again.cut();
      bob.cut();
    } finally {
      await edge.stop();
    }
  });
});
