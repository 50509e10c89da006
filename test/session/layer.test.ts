import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Layer } from "../../src/session/layer.ts";
import { appendToTrail, type Trail, walkTrail } from "../../src/session/trail.ts";

const keys = ["a", "b", "c", "__proto__", "constructor"];
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("set"), key: fc.constantFrom(...keys), value: fc.nat(99) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("delete"), key: fc.constantFrom(...keys) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("fork") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("merge") }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget") }) },
);

describe("layer", () => {
  test("OR1 a layer and its forks are maps; a merged fork is its parent's content, a forgotten one was never there", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const layers = [{ layer: Layer.create<number>(), model: new Map<string, number>() }];
        for (const made of steps) {
          const top = layers.at(-1);
          const below = layers.at(-2);
          assert.ok(top !== undefined);
          if (made.kind === "set" && "value" in made) {
            top.layer.set(made.key, made.value);
            top.model.set(made.key, made.value);
          } else if (made.kind === "delete" && "key" in made) {
            top.layer.delete(made.key);
            top.model.delete(made.key);
          } else if (made.kind === "fork" && layers.length < 4) {
            layers.push({ layer: top.layer.fork(), model: new Map(top.model) });
          } else if (made.kind === "merge" && below !== undefined) {
            top.layer.merge();
            below.model = top.model;
            layers.pop();
          } else if (made.kind === "forget" && below !== undefined) {
            layers.pop();
          }
          for (const { layer, model } of layers) {
            for (const key of keys) assert.equal(layer.get(key), model.get(key));
            assert.deepEqual([...layer.values()].sort(), [...model.values()].sort());
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  test("OR1 only a fork can be merged", () => {
    assert.throws(() => Layer.create().merge());
  });
});

describe("trail", () => {
  test("OR1 values come in the order in which their keys came in, a fork's behind its parent's", () => {
    const layer = Layer.create<number>();
    layer.set("z", 1);
    layer.set("a", 2);
    const fork = layer.fork();
    fork.set("m", 3);
    fork.set("z", 4);
    assert.deepEqual(
      [[...layer.values()], [...fork.values()]],
      [
        [1, 2],
        [4, 2, 3],
      ],
    );
    fork.merge();
    assert.deepEqual([...layer.values()], [4, 2, 3]);
  });

  test("OR2 a trail holds at least the newest it is asked to keep, and a bounded number of them", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(200), (keep, count) => {
        let trail: Trail<number> | undefined;
        for (let item = 1; item <= count; item++) {
          trail = appendToTrail(trail, item, keep);
          const held = [...walkTrail(trail)];
          assert.ok(held.length >= Math.min(keep, item) && held.length <= 2 * keep);
          assert.deepEqual(
            held,
            held.map((_, index) => item - index),
          );
        }
      }),
    );
  });

  test("OR2 whatever is appended to one trail, another with the same tail keeps what it may be asked for", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.tuple(fc.nat(30), fc.nat(30)), { maxLength: 8 }),
        (keep, rounds) => {
          let trail: Trail<number> | undefined;
          let count = 0;
          for (const [forgotten, kept] of rounds) {
            let fork = trail;
            for (let i = 0; i < forgotten; i++) fork = appendToTrail(fork, -i, keep);
            const held = [...walkTrail(trail)];
            assert.ok(held.length >= Math.min(keep, count), `${held.length} held of ${count}, asked for ${keep}`);
            for (let i = 0; i < kept; i++) trail = appendToTrail(trail, ++count, keep);
          }
        },
      ),
    );
  });
});
