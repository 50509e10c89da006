import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom } from "../conversation.ts";
import { type CalmRow, notSplit } from "../row.ts";

const messages = 60;
const bytes = 8 * 1024;

export const unacked: CalmRow = {
  kind: "calm",
  name: "unacked",
  says: "more that waits for its Ack than allowed is refused UNACKED_LIMIT, and the stream lives",
  lacks: notSplit("one `Publish` holds no more than may be unacked, and the next waits for its answer"),
  async run(scene) {
    const talk = await scene.talk("ann");
    // At once, while the session is opened: some relay would log each before it reads the next.
    for (let n = 1; n <= messages; n++) talk.say(custom("much", bytes), n);
    const fault = await talk.take("fault");
    assert.deepEqual([fault.code, fault.reason, fault.action], ["resource_exhausted", "UNACKED_LIMIT", Action.RETRY]);
    assert.ok(fault.retryAfterMs > 0n);
    await talk.reach("an answer to each", () => talk.all("ack").length + talk.all("fault").length === messages);
    talk.say(custom("again"), Number(fault.clientSeq));
    await talk.take("ack", ({ clientSeq }) => clientSeq === fault.clientSeq);
  },
};
