import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { typeTogether } from "../relay/edge/typing.ts";
import { edit } from "../relay/harness.ts";
import { createRandom } from "../support/random.ts";
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

  test("EG2 three people type over three carriages, and the object is evicted in between", async () => {
    const random = createRandom(5);
    let evictions = 0;
    await typeTogether({
      url: relay.url,
      session: "evicted",
      kind: "connect-h1",
      lines: 20,
      random,
      carriages: ["bidi", "split", "socket"],
      async between(typed) {
        if (typed % 10 !== 0) return;
        await relay.workerd.evict();
        evictions += 1;
      },
    });
    assert.ok(evictions > 3);
  });

  test("EG3 the process is killed while they type, and started again", async () => {
    const random = createRandom(6);
    const { resumed } = await typeTogether({
      url: relay.url,
      session: "killed",
      kind: "connect-h1",
      lines: 20,
      random,
      carriages: ["bidi", "split", "socket"],
      async between(typed) {
        if (typed % 20 === 0) await relay.workerd.restart();
      },
    });
    assert.ok(resumed >= 3, `${resumed} resumed`);
  });

  test("EG4 native gRPC is refused by a status that its clients read", async () => {
    const path = "/codereview.v1.CodeReviewService/CollaborativeSession";
    const response = await fetch(`${relay.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/grpc" },
    });
    assert.equal(response.headers.get("grpc-status"), "12");
  });
});
