import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

export const supersession: CalmRow = {
  kind: "calm",
  name: "supersession",
  says: "a newer stream of a client takes over: the older ends SUPERSEDED, and what it says late is not taken",
  async run(scene) {
    const join = { clientId: "desk" };
    const older = await scene.talk("ann", { join });
    const { resumeToken } = await older.take("welcome");
    older.say(custom("1"), 1);
    await older.take("ack", ({ seq }) => seq === 1n);
    const newer = await scene.talk("ann", { join: { ...join, resumeToken, lastSeq: 1n } });
    assert.equal((await newer.take("welcome")).lastClientSeq, 1n);
    const { code, fault } = await older.end();
    assert.deepEqual([code, fault?.reason, fault?.action], ["aborted", "SUPERSEDED", Action.STOP]);
    older.say(custom("late"), 2);
    newer.say(custom("2"), 2);
    await newer.take("ack", ({ seq }) => seq === 2n);
    const types = (await scene.log()).map(({ payload }) => (payload.case === "custom" ? payload.value.type : ""));
    assert.deepEqual(types, ["1", "2"]);
    const another = await scene.talk("ann", { join: { clientId: "phone" } });
    await another.take("welcome");
    newer.say(custom("3"), 3);
    await newer.take("ack", ({ seq }) => seq === 3n);
  },
};
