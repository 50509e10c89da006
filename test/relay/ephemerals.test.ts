import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Ephemerals } from "../../src/relay/ephemerals.ts";

const put = (ephemerals: Ephemerals, index: number, sender: string, slot: string, bytes = 10) =>
  ephemerals.put(slot, { frame: new Uint8Array(bytes), sender, index });
const indices = (ephemerals: Ephemerals, from = 0, to = 1e9, except = "") =>
  ephemerals.between(from, to, except).map(({ index }) => index);

describe("what is not logged", () => {
  test("SR1 the newest of each client and kind is held, in its order, and told to the others", () => {
    const ephemerals = new Ephemerals(10_000);
    put(ephemerals, 1, "ann", "cursor");
    put(ephemerals, 2, "bob", "cursor");
    put(ephemerals, 3, "ann", "presence");
    put(ephemerals, 4, "ann", "cursor");
    put(ephemerals, 5, "ann", "custom:x");
    put(ephemerals, 6, "ann", "custom:y");
    put(ephemerals, 7, "ann", "custom:x");
    assert.deepEqual(indices(ephemerals), [2, 3, 4, 6, 7]);
    assert.deepEqual(indices(ephemerals, 3, 7), [3, 4, 6]);
    assert.deepEqual(indices(ephemerals, 0, 1e9, "ann"), [2]);
    assert.deepEqual(indices(ephemerals, 5, 5), []);
    ephemerals.forgetBefore(4);
    assert.deepEqual(indices(ephemerals), [4, 6, 7]);
  });

  test("SR1 of more than its bytes the oldest are forgotten, and large messages leave presence alone", () => {
    const ephemerals = new Ephemerals(10_000);
    put(ephemerals, 1, "ann", "presence");
    for (let n = 2; n < 12; n++) put(ephemerals, n, `client${n}`, "custom:x", 2_000);
    assert.deepEqual(indices(ephemerals), [1, 8, 9, 10, 11]);
    put(ephemerals, 12, "client9", "custom:x", 2_000);
    assert.deepEqual(indices(ephemerals), [1, 8, 10, 11, 12]);
    for (let n = 20; n < 100; n++) put(ephemerals, n, `client${n}`, "presence");
    const shown = indices(ephemerals, 20);
    assert.ok(shown.length > 30 && shown.length * 256 < 10_000, `${shown.length}`);
    assert.equal(shown.at(-1), 99);
  });
});
