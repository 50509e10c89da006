import assert from "node:assert/strict";
import { custom } from "../conversation.ts";
import { startHalfDuplexProxy } from "../half-duplex-proxy.ts";
import type { CalmRow } from "../row.ts";

export const halfDuplex: CalmRow = {
  kind: "calm",
  name: "half-duplex path",
  says: "where something on the way hands on requests only whole, a stream down and calls up are the same session",
  lacks: ({ carriage }) => (carriage === "split" ? undefined : "it needs a path that is full duplex"),
  async run(scene) {
    const proxy = await startHalfDuplexProxy(scene.entrance.url);
    scene.cleanUp(() => proxy.stop());
    const entrance = { url: proxy.url, httpVersion: "1.1" } as const;
    const [ann, ben] = [await scene.talk("ann", { entrance }), await scene.talk("ben", { entrance })];
    for (const talk of [ann, ben]) await talk.take("welcome");
    for (const [n, talk] of [ann, ben, ann, ben].entries()) {
      talk.say(custom(`${n}`), 1 + Math.floor(n / 2));
      await talk.take("ack", ({ seq }) => seq === BigInt(n + 1));
    }
    for (const talk of [ann, ben]) {
      await talk.reach("all four", () => talk.seqs().length >= 4);
      assert.deepEqual(talk.seqs(), [1, 2, 3, 4]);
    }
  },
};
