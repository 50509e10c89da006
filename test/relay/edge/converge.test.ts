import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createRandom } from "../../support/random.ts";
import { startEdge } from "./harness.ts";
import { typeTogether } from "./typing.ts";

const limits = { messagesPerSecond: 100_000, messagesBurst: 100_000 };

describe("people type together through gateways, and their session's object comes and goes", () => {
  for (const seed of [1, 2, 3, 4]) {
    test(`EG2 all have the same text, each line once, wherever the object leaves memory (seed ${seed})`, async () => {
      const random = createRandom(seed);
      const edge = await startEdge({ limits, evicts: () => random() < 0.7 });
      try {
        const carriages = ["bidi", "split", "socket"] as const;
        await typeTogether({ url: edge.url, session: "demo", kind: "connect", lines: 40, random, carriages });
        assert.ok(edge.objects.evictions > 5, `${edge.objects.evictions} evictions`);
        assert.deepEqual(edge.objects.afterlife, []);
      } finally {
        await edge.stop();
      }
    });

    test(`EG3 the same where every link is cut now and then, as a deploy does (seed ${seed})`, async () => {
      const random = createRandom(seed);
      const edge = await startEdge({ limits, evicts: () => random() < 0.3 });
      let crashes = 0;
      try {
        const { resumed } = await typeTogether({
          url: edge.url,
          session: "demo",
          kind: "connect",
          lines: 40,
          random,
          carriages: ["bidi", "split", "socket"],
          async between(typed) {
            if (typed % 40 !== 0) return;
            edge.objects.crash();
            crashes += 1;
          },
        });
        assert.ok(crashes >= 3 && resumed >= crashes, `${crashes} crashes, ${resumed} resumed`);
      } finally {
        await edge.stop();
      }
    });
  }
});
