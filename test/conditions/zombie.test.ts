import assert from "node:assert/strict";
import { test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import type { ObjectStorage } from "../../src/durable/object-storage.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { openStorage } from "../durable/local-objects.ts";
import { BareLink, createHost, hello, says } from "./bare-host.ts";

/** A storage as an instance of an object has it until the platform has made another one. */
function replaceable(storage: ObjectStorage) {
  let isReplaced = false;
  const assertOwn = () => {
    // Cloudflare's words, for an instance that runs on beside its successor.
    if (isReplaced) throw new Error("Durable Object reset because its code was updated.");
  };
  const own: ObjectStorage = {
    sql: {
      exec(...statement) {
        assertOwn();
        return storage.sql.exec(...statement);
      },
      get databaseSize() {
        return storage.sql.databaseSize;
      },
    },
    transactionSync(work) {
      assertOwn();
      return storage.transactionSync(work);
    },
    async deleteAll() {
      assertOwn();
      await storage.deleteAll();
    },
  };
  return {
    own,
    replace() {
      isReplaced = true;
    },
  };
}

/** What is not caught here the platform notes, of an instance that it is about to end. */
const isUnavailable = (error: unknown) => error instanceof BatonError && error.reason === "LOG_UNAVAILABLE";

test("BC1 an instance that runs on beside its successor acks nothing and tells nothing: its streams end LOG_UNAVAILABLE", async () => {
  const storage = openStorage(await loadDefaultDriver());
  try {
    const place = replaceable(storage);
    const zombie = createHost(place.own);
    const [alice, bob, carol] = [new BareLink(), new BareLink(), new BareLink()];
    await zombie.message(alice, hello("alice"));
    await zombie.message(bob, hello("bob"));
    await zombie.message(alice, says({ case: "custom", value: { type: "before" } }, 1n));
    assert.deepEqual([alice.logged, bob.logged], [["ack"], ["custom"]]);
    place.replace();
    const successor = createHost(storage);
    await successor.message(carol, hello("carol"));
    const lost = zombie.message(alice, says({ case: "custom", value: { type: "lost" } }, 2n));
    await successor.message(carol, says({ case: "custom", value: { type: "after" } }, 1n));
    assert.deepEqual(
      carol.told.flatMap(({ payload }) => (payload.case === "ack" ? [payload.value.seq] : [])),
      [2n],
    );
    // For as long as a store that does not answer is waited for.
    await assert.rejects(lost, isUnavailable);
    for (const link of [alice, bob]) assert.equal(link.ended?.reason, "LOG_UNAVAILABLE");
    assert.deepEqual([alice.logged, bob.logged], [["ack"], ["custom"]]);
    // Who came to it by then, and what it is called for after, get nothing else.
    const late = new BareLink();
    await zombie.message(late, hello("late"));
    assert.equal(late.ended?.reason, "LOG_UNAVAILABLE");
    await assert.rejects(zombie.alarm(), isUnavailable);
    assert.deepEqual([alice.logged, bob.logged, late.logged], [["ack"], ["custom"], []]);
    const records = storage.sql.exec("SELECT max(last_seq) AS head FROM records");
    assert.deepEqual([...records], [{ head: 2 }]);
  } finally {
    storage.db.close();
  }
});
