import assert from "node:assert/strict";
import { Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { limits } from "../limits.ts";
import type { CalmRow } from "../row.ts";

export const join: CalmRow = {
  kind: "calm",
  name: "join",
  says: "a Heartbeat comes first, then the Welcome with all that it tells, then the snapshot",
  async run(scene) {
    const talk = await scene.talk("ann", { join: { clientId: "desk" } });
    const welcome = await talk.take("welcome");
    const snapshot = await talk.take("snapshot");
    const kinds = talk.heard.slice(0, 3).map(({ payload }) => payload.case);
    assert.deepEqual(kinds, ["heartbeat", "welcome", "snapshot"]);
    assert.deepEqual(
      [welcome.outcome, welcome.headSeq, welcome.lastClientSeq, welcome.clientId],
      [Outcome.NEW, 0n, 0n, "desk"],
    );
    assert.ok(welcome.epoch !== "" && welcome.resumeToken !== "" && welcome.streamId !== "");
    assert.deepEqual([...welcome.scopes].sort(), ["session:comment", "session:custom", "session:edit", "session:read"]);
    assert.equal(welcome.limits?.maxMessageBytes, limits.messageBytes);
    assert.equal(welcome.limits?.heartbeatIntervalMs, limits.heartbeatMs);
    assert.deepEqual([snapshot.epoch, snapshot.seq, snapshot.more], [welcome.epoch, 0n, false]);
    assert.ok(talk.heard.slice(0, 3).every(({ timestamp }) => timestamp > 0n));
    const unnamed = await scene.talk("ann");
    assert.notEqual((await unnamed.take("welcome")).clientId, "");
  },
};
