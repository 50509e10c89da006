import assert from "node:assert/strict";
import {
  Fault_Action as Action,
  Welcome_Outcome as Outcome,
  TokenStatus_State as TokenState,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

export const expiry: CalmRow = {
  kind: "calm",
  name: "expiry",
  says: "a token that is not renewed is announced, ends its stream TOKEN_EXPIRED, and a new one resumes it",
  async run(scene) {
    const join = { clientId: "desk" };
    const token = await scene.token("ann", { ttlSeconds: 3 });
    const ann = await scene.talk("ann", { token, join });
    const { resumeToken } = await ann.take("welcome");
    ann.say(custom("before"), 1);
    await ann.take("ack", ({ seq }) => seq === 1n);
    await ann.take("tokenStatus", ({ state }) => state === TokenState.EXPIRING);
    const { code, fault } = await ann.end();
    assert.deepEqual([code, fault?.reason, fault?.action], ["unauthenticated", "TOKEN_EXPIRED", Action.REAUTHENTICATE]);
    const ben = await scene.talk("ben");
    ben.say(custom("meanwhile"), 1);
    await ben.take("ack", ({ seq }) => seq === 2n);
    const refused = await scene.talk("ann", { token, join: { ...join, resumeToken, lastSeq: 1n } });
    assert.equal((await refused.end()).fault?.reason, "TOKEN_EXPIRED");
    const back = await scene.talk("ann", { join: { ...join, resumeToken, lastSeq: 1n } });
    const welcome = await back.take("welcome");
    assert.deepEqual([welcome.outcome, welcome.lastClientSeq], [Outcome.RESUMED, 1n]);
    assert.equal((await back.take("custom")).type, "meanwhile");
  },
};
