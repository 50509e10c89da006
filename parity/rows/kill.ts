import assert from "node:assert/strict";
import type { UpheavalRow } from "../row.ts";
import { gather, typeAll } from "../typing.ts";

export const kill: UpheavalRow = {
  kind: "upheaval",
  name: "kill",
  says: "a relay that is killed while people type and is started again: no acked message is lost, none is there twice",
  async begin(scene) {
    const people = await gather(scene, ["ann", "ben"]);
    const typing = typeAll(people, scene.random, 60);
    // What it rejects with is told where it is awaited.
    typing.catch(() => undefined);
    await scene.until("some of it is acked", () => people.every(({ acked }) => acked.length > 2));
    return async () => {
      await typing;
      await scene.settle(people);
      for (const { name, counts } of people) {
        assert.ok(counts.resumed > 0, `${name} never resumed`);
        assert.deepEqual([counts.resynced, counts.lostFiles, counts.uncertain], [0, 0, 0], name);
      }
    };
  },
  async upheave(relay) {
    await relay.kill();
    await relay.start();
  },
};
