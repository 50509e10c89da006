import assert from "node:assert/strict";
import type { CalmRow } from "../row.ts";
import { gather, typeAll } from "../typing.ts";

export const converge: CalmRow = {
  kind: "calm",
  name: "converge",
  says: "three type into one file at once; all end with the text that the log makes",
  async run(scene) {
    const people = await gather(scene, ["ann", "ben", "cleo"]);
    await typeAll(people, scene.random, 30);
    const records = await scene.settle(people);
    for (const { name, acked } of people) assert.ok(acked.length > 1, `${name} had ${acked.length} edits acked`);
    assert.ok(records.length > people.length, `${records.length} records`);
  },
};
