import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { type Plant, simulate } from "./simulate.ts";
import { weathers } from "./weather.ts";

/** What the store says, said otherwise. */
const lie =
  (change: (log: SessionLog) => Partial<SessionLog>): Plant =>
  (world) => {
    const honest = world.store;
    world.store = { ...honest, ...change(honest) };
  };

/** Nobody looks at the log where no doorbell rings. */
const neverLook: Plant = (world) => {
  world.eachStep = () => {
    for (const { running } of world.instances) for (const room of running.relay.rooms.all) room.look = () => undefined;
  };
};

const plants: Readonly<Record<string, Plant>> = {
  "the bus and the doorbell are taken to be reliable": neverLook,
  "a read begins one record too late": lie((log) => ({
    read: async (sessionId, from, to, maxBytes, epoch) =>
      (await log.read(sessionId, from, to, maxBytes, epoch)).filter(({ seq }) => seq !== from + 1 || from % 5 !== 0),
  })),
  "an append is acked before it is in the log": lie((log) => ({
    append: async (sessionId, batch) => {
      if (batch.expectedHead % 7 === 3) return { kind: "appended" };
      return await log.append(sessionId, batch);
    },
  })),
  "others' appends are not compared with the head": lie((log) => ({
    append: async (sessionId, batch) => {
      const outcome = await log.append(sessionId, batch);
      return outcome.kind === "conflict" ? { kind: "appended" } : outcome;
    },
  })),
};

/** Where none is heard, nothing but a look finds what others wrote. */
const ringLost: Readonly<Record<string, number>> = {
  "the bus and the doorbell are taken to be reliable": 1,
};

/** A planted bug ends its runs at the first that shows it. */
const seeds = Array.from({ length: 20 }, (_, index) => index + 1);

describe("the simulation sees", () => {
  for (const [what, plant] of Object.entries(plants)) {
    test(`MI18 a planted bug: ${what}`, async () => {
      for (const seed of seeds) {
        const failed = await simulate(
          seed,
          { ...weathers.badBus, steps: 300, busLost: 1, ringLost: ringLost[what] ?? 0.3 },
          plant,
          300,
        ).then(
          () => false,
          () => true,
        );
        if (failed) return;
      }
      assert.fail(`none of ${seeds.length} runs showed it`);
    });
  }

  test("MI18 none where none is planted", async () => {
    for (const seed of seeds.slice(0, 6)) await simulate(seed, { ...weathers.badBus, steps: 300, busLost: 1 });
  });
});
