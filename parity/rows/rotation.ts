import assert from "node:assert/strict";
import { TokenStatus_State as TokenState } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

export const rotation: CalmRow = {
  kind: "calm",
  name: "rotation",
  says: "a new token is taken under the running stream; one that is refused leaves the old one in force",
  async run(scene) {
    const talk = await scene.talk("ann");
    const { tokenExpiresAt } = await talk.take("welcome");
    talk.rotate(await scene.token("ann", { ttlSeconds: 7200, scope: "session:custom" }));
    const accepted = await talk.take("tokenStatus", ({ state }) => state !== TokenState.EXPIRING);
    assert.equal(accepted.state, TokenState.ACCEPTED, accepted.reason);
    assert.ok(accepted.expiresAt > tokenExpiresAt);
    assert.deepEqual([...accepted.scopes].sort(), ["session:custom", "session:read"]);
    for (const wrong of [
      await scene.token("ben"),
      await scene.token("ann", { sessions: ["elsewhere"] }),
      await scene.token("ann", { ttlSeconds: 60, nowMs: Date.now() - 3_600_000 }),
      "no token at all",
    ]) {
      talk.rotate(wrong);
      const rejected = await talk.take("tokenStatus", ({ state }) => state !== TokenState.EXPIRING);
      assert.deepEqual([rejected.state, rejected.expiresAt], [TokenState.REJECTED, accepted.expiresAt]);
      assert.equal(rejected.reason.includes(wrong), false);
    }
    talk.say(custom("still here"), 1);
    await talk.take("ack", ({ seq }) => seq === 1n);
    talk.say({ case: "comment", value: { commentId: "c", text: "?" } }, 2);
    assert.equal((await talk.take("fault")).reason, "SCOPE_MISSING");
  },
};
