import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { edit } from "../relay/harness.ts";
import { missingWorkerd } from "./harness.ts";
import { startWorkerRelay, type WorkerRelay } from "./relay.ts";

const skip = missingWorkerd === "" ? false : missingWorkerd;

describe(`the relay in workerd${missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`}`, { skip }, () => {
  let relay: WorkerRelay;
  before(async () => {
    relay = await startWorkerRelay();
  });
  after(() => relay.stop());

  test("EG1 a session goes on in an object that was out of memory while its clients stayed connected", async () => {
    const alice = await relay.join({ as: "alice" });
    await alice.take("welcome");
    const bob = await relay.join({ as: "bob" });
    await bob.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    await bob.take("edit");
    await relay.workerd.evict();
    bob.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 1n });
    assert.equal((await bob.take("ack")).seq, 2n);
    assert.equal((await alice.take("edit")).changes[0]?.insert, " two");
    alice.finish();
    assert.equal((await alice.ended).error, undefined);
  });
});
