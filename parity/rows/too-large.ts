import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom } from "../conversation.ts";
import { limits } from "../limits.ts";
import type { CalmRow } from "../row.ts";

/** Of a `custom` message beside its data, and of a `Publish` around it. */
const otherBytes = 2 * 1024;

export const tooLarge: CalmRow = {
  kind: "calm",
  name: "message too large",
  says: "a message of the size allowed is taken; a larger one ends its stream MESSAGE_TOO_LARGE",
  async run(scene) {
    const talk = await scene.talk("ann");
    await talk.take("welcome");
    talk.say(custom("large", limits.messageBytes / 2 - otherBytes), 1);
    await talk.take("ack", ({ seq }) => seq === 1n);
    talk.say(custom("too large", limits.messageBytes + otherBytes), 2);
    const { code, fault } = await talk.end();
    assert.deepEqual([code, fault?.reason, fault?.action], ["resource_exhausted", "MESSAGE_TOO_LARGE", Action.STOP]);
    assert.equal((await scene.log()).length, 1);
  },
};
