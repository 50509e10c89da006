import assert from "node:assert/strict";
import { test } from "node:test";
import { type SessionMessage, PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { startEdge } from "../relay/edge/harness.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const statusOf = ({ payload }: SessionMessage) => (payload.case === "presence" ? payload.value.status : undefined);

test("BC3 an alarm that is ten minutes late, and then comes twice, tells each change once, and deletes once what is old", async () => {
  // Nobody is sent away for their silence meanwhile.
  const edge = await startEdge({ limits: { heartbeatMs: 3_600_000, logAgeMs: 900_000 } });
  try {
    const alice = await edge.join({ as: "alice", clientId: "a" });
    await alice.take("welcome");
    const bob = await edge.join({ as: "bob", clientId: "b" });
    await bob.take("welcome");
    const carol = await edge.join({ as: "carol", clientId: "c" });
    await carol.take("welcome");
    bob.cut();
    await pause(50);
    edge.advance(600_000);
    const left = await alice.takeMessage("presence", (message) => statusOf(message) === Status.LEFT);
    assert.equal(left.userId, "bob");
    await alice.takeMessage("presence", (message) => message.userId === "carol" && statusOf(message) === Status.IDLE);
    await pause(100);
    const changes: readonly (Status | undefined)[] = [Status.LEFT, Status.IDLE];
    assert.deepEqual(
      alice.received.filter((message) => changes.includes(statusOf(message))).map(({ userId }) => userId),
      [],
    );
    for (const stream of [alice, carol]) {
      stream.finish();
      await stream.ended;
    }
    let deletions = 0;
    const { delete: remove } = edge.log;
    Object.assign(edge.log, {
      delete: async (...args: Parameters<typeof remove>) => {
        const epoch = await remove(...args);
        if (epoch !== "") deletions += 1;
        return epoch;
      },
    });
    assert.notEqual(await edge.log.describe("demo"), undefined);
    edge.advance(900_000 + 600_000);
    while ((await edge.log.describe("demo")) !== undefined) await pause(10);
    await pause(50);
    assert.equal(deletions, 1);
    assert.deepEqual(edge.objects.afterlife, []);
  } finally {
    await edge.stop();
  }
});
