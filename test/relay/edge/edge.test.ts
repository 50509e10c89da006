import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PresenceUpdate_Status as Status } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { edit } from "../harness.ts";
import { startEdge, type TestEdge } from "./harness.ts";

let edge: TestEdge;
before(async () => {
  edge = await startEdge();
});
after(async () => {
  await edge.stop();
  assert.deepEqual(edge.objects.afterlife, []);
});

test("EG1 what one client says another is told, although the object leaves memory between any two events", async () => {
  const alice = await edge.join({ as: "alice" });
  const welcome = await alice.take("welcome");
  assert.equal(welcome.headSeq, 0n);
  const bob = await edge.join({ as: "bob", kind: "grpc-web" });
  await bob.take("welcome");
  alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
  assert.equal((await alice.take("ack")).seq, 1n);
  assert.equal((await bob.takeMessage("edit")).seq, 1n);
  bob.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 1n });
  assert.equal((await bob.take("ack")).seq, 2n);
  assert.deepEqual((await alice.take("edit")).changes[0]?.insert, " two");
  assert.ok(edge.objects.evictions > 3, `${edge.objects.evictions} evictions`);
  assert.equal((await alice.takeMessage("presence", ({ userId }) => userId === "bob")).userId, "bob");
  alice.finish();
  assert.equal((await alice.ended).error, undefined);
  bob.cut();
  void Status;
});
