import assert from "node:assert/strict";
import { test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { decodeHop, hopHeaderBytes } from "../../src/relay/edge/hop.ts";
import { openStorage } from "../durable/local-objects.ts";
import { BareLink, createHost, hello, says } from "./bare-host.ts";

/** What another version puts into the JSON of a message between a gateway and an object. */
function changed(message: Uint8Array, change: (value: Record<string, unknown>) => object): Uint8Array {
  const value: unknown = JSON.parse(new TextDecoder().decode(message.subarray(hopHeaderBytes)));
  assert.ok(typeof value === "object" && value !== null);
  const body = new TextEncoder().encode(JSON.stringify(change({ ...value })));
  return new Uint8Array([...message.subarray(0, hopHeaderBytes), ...body]);
}

test("BC16 an object serves a newer gateway as far as it knows what that says, and sends away by DRAIN whom it cannot know", async () => {
  const storage = openStorage(await loadDefaultDriver());
  try {
    const host = createHost(storage);
    const newer = new BareLink();
    await host.message(
      newer,
      changed(hello("alice"), (value) => ({
        ...value,
        placement: "weur",
        principal: { ...Object(value.principal), tenant: "t" },
      })),
    );
    assert.ok(newer.told.some(({ payload }) => payload.case === "welcome"));
    await host.message(newer, Uint8Array.from([1, 200, 7]));
    await host.message(newer, says({ case: "custom", value: { type: "t" } }, 1n));
    assert.deepEqual([newer.logged, newer.ended], [["ack"], undefined]);
    for (const unknown of [
      changed(hello("bob"), (value) => ({ ...value, protocol: "webtransport" })),
      changed(hello("bob"), (value) => ({ ...value, carriage: "datagrams" })),
      changed(hello("bob"), ({ form: _form, ...value }) => value),
      Uint8Array.from([2, 1, 123]),
    ]) {
      const link = new BareLink();
      await host.message(link, unknown);
      assert.equal(link.ended?.reason, "DRAIN");
    }
    assert.equal(host.streams, 1);
    // Of a version in which nothing need mean what it does in this one.
    await host.message(newer, Uint8Array.from([2, 2, 7]));
    assert.equal(newer.ended?.reason, "DRAIN");
  } finally {
    storage.db.close();
  }
});

test("BC16 a gateway passes over what a newer object says, and an end for a reason that it does not know is one to come back from", () => {
  const end = (error: object) => {
    const body = new TextEncoder().encode(JSON.stringify({ error, more: 1 }));
    return decodeHop(Uint8Array.from([1, 8, ...body]));
  };
  const newer = end({ reason: "MOVED_TO_REPLICA", message: "words", retryAfterMs: 500, hint: "x" });
  assert.ok(newer?.kind === "end" && newer.error !== undefined);
  assert.deepEqual([newer.error.reason, newer.error.message, newer.error.retryAfterMs], ["INTERNAL", "words", 500]);
  assert.equal(decodeHop(Uint8Array.from([1, 77, 1, 2])), undefined);
});
