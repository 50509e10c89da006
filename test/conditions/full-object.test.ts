import assert from "node:assert/strict";
import { test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { gatherLogs } from "../auth/issuer.ts";
import { openStorage } from "../durable/local-objects.ts";
import { BareLink, createHost, hello, says } from "./bare-host.ts";

const maxBytes = 1_000_000;

test("BC13 an object that is full refuses what is said in words that name its bound, warned before, and serves what it has", async () => {
  const storage = openStorage(await loadDefaultDriver());
  const logs = await gatherLogs();
  try {
    const host = createHost(storage, maxBytes);
    const [alice, bob] = [new BareLink(), new BareLink()];
    await host.message(alice, hello("alice"));
    const data = crypto.getRandomValues(new Uint8Array(50_000));
    const warnings = () => logs.records.filter(({ rawMessage }) => String(rawMessage).includes("nearly full")).length;
    const faults = () => alice.told.flatMap(({ payload }) => (payload.case === "fault" ? [payload.value] : []));
    let said = 0;
    let warnedAt = 0;
    while (faults().length === 0 && said < 100) {
      said += 1;
      await host.message(alice, says({ case: "custom", value: { type: "t", data } }, BigInt(said)));
      if (warnedAt === 0 && warnings() > 0) warnedAt = said;
    }
    const [fault] = faults();
    assert.deepEqual([fault?.reason, fault?.action, fault?.clientSeq], ["LOG_FULL", Action.RETRY, BigInt(said)]);
    assert.match(fault?.message ?? "", new RegExp(String(maxBytes)));
    assert.ok(storage.sql.databaseSize <= maxBytes, `${storage.sql.databaseSize} bytes`);
    assert.ok(warnedAt > 0 && warnedAt < said, `warned at ${warnedAt} of ${said}`);
    assert.equal(warnings(), 1);
    // Nothing of it is in the log; the stream lives, and who comes is told all that is there.
    await host.message(bob, hello("bob"));
    const [welcome] = bob.told.flatMap(({ payload }) => (payload.case === "welcome" ? [payload.value] : []));
    assert.equal(welcome?.headSeq, BigInt(said - 1));
    assert.deepEqual([alice.ended, bob.ended], [undefined, undefined]);
    assert.equal(alice.logged.length, said - 1);
  } finally {
    logs.stop();
    storage.db.close();
  }
});
