import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { CalmRow } from "../row.ts";

export const deadline: CalmRow = {
  kind: "calm",
  name: "deadline",
  says: "a stream for which the client set a deadline ends DEADLINE when it has passed",
  lacks: ({ carriage }) => (carriage === "socket" ? "a WebSocket carries no deadline" : undefined),
  async run(scene) {
    // Both are set, and each protocol has one of them; the client's own clock is not asked.
    const headers = { "connect-timeout-ms": "700", "grpc-timeout": "700m" };
    const talk = await scene.talk("ann", { headers });
    await talk.take("welcome");
    const { code, fault } = await talk.end();
    assert.deepEqual([code, fault?.reason, fault?.action], ["deadline_exceeded", "DEADLINE", Action.RECONNECT]);
  },
};
