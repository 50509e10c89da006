import assert from "node:assert/strict";
import type { CalmRow } from "../row.ts";
import { gather, typeAll } from "../typing.ts";

export const resume: CalmRow = {
  kind: "calm",
  name: "resume",
  says: "cut off in the middle of typing, again and again: it goes on where it was, and nothing is lost or there twice",
  async run(scene) {
    const people = await gather(scene, ["ann", "ben"]);
    await typeAll(people, scene.random, 40, ({ connection }, n) => {
      if (n % 13 === 0) connection.interrupt();
    });
    await scene.settle(people);
    for (const { name, counts } of people) {
      assert.ok(counts.resumed > 0, `${name} never resumed`);
      assert.deepEqual([counts.resynced, counts.lostFiles, counts.uncertain], [0, 0, 0], name);
    }
  },
};
