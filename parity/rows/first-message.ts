import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type CalmRow, notSplit } from "../row.ts";

export const firstMessage: CalmRow = {
  kind: "calm",
  name: "first message",
  says: "a stream on which nothing is said ends FIRST_MESSAGE_TIMEOUT",
  lacks: notSplit("its first message is its request"),
  async run(scene) {
    const { openSilently } = scene.open();
    assert.ok(openSilently !== undefined);
    const { code, fault } = await openSilently(await scene.token("ann"));
    assert.deepEqual(
      [code, fault?.reason, fault?.action],
      ["deadline_exceeded", "FIRST_MESSAGE_TIMEOUT", Action.RECONNECT],
    );
  },
};
