import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { CalmRow } from "../row.ts";

/** What is promised, on every instance. */
const withinMs = 5_000;

export const revocation: CalmRow = {
  kind: "calm",
  name: "revocation",
  says: "a revoked token's stream ends TOKEN_REVOKED within 5 s, and it comes in no more; another token of the user does",
  async run(scene) {
    const tokenId = crypto.randomUUID();
    const token = await scene.token("ann", { tokenId });
    const ann = await scene.talk("ann", { token });
    const other = await scene.talk("ann");
    for (const talk of [ann, other]) await talk.take("welcome");
    const askedMs = Date.now();
    await scene.admin.revokeTokens(
      { tokenId },
      { headers: await scene.headers("operator", { scope: "session:admin" }) },
    );
    const { code, fault } = await ann.end();
    const tookMs = Date.now() - askedMs;
    assert.deepEqual([code, fault?.reason, fault?.action], ["unauthenticated", "TOKEN_REVOKED", Action.REAUTHENTICATE]);
    assert.ok(tookMs < withinMs, `it took ${tookMs} ms`);
    const again = await scene.talk("ann", { token });
    assert.equal((await again.end()).fault?.reason, "TOKEN_REVOKED");
    other.say({ case: "custom", value: { type: "still here" } }, 1);
    await other.take("ack", ({ seq }) => seq === 1n);
  },
};
