import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { wordsOf } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

const anHourMs = 3_600_000;

export const tokens: CalmRow = {
  kind: "calm",
  name: "tokens",
  says: "a token that is missing, foreign, over, or for another session is refused by the same code and reason",
  async run(scene) {
    const foreign = crypto.getRandomValues(new Uint8Array(32));
    const resumeToken = await (await scene.talk("ben")).take("welcome").then((welcome) => welcome.resumeToken);
    const refusals = {
      "no token": { token: "", reason: "TOKEN_INVALID" },
      "not a token": { token: "a.b.c", reason: "TOKEN_INVALID" },
      "another key's": { token: await scene.token("ann", { secret: foreign }), reason: "TOKEN_INVALID" },
      over: {
        token: await scene.token("ann", { ttlSeconds: 60, nowMs: Date.now() - anHourMs }),
        reason: "TOKEN_EXPIRED",
      },
      "another session's": {
        token: await scene.token("ann", { sessions: ["elsewhere"] }),
        reason: "SESSION_FORBIDDEN",
      },
      "a resume token in its place": { token: resumeToken, reason: "TOKEN_INVALID" },
    };
    const codes = {
      TOKEN_INVALID: "unauthenticated",
      TOKEN_EXPIRED: "unauthenticated",
      SESSION_FORBIDDEN: "permission_denied",
    };
    const actions = {
      TOKEN_INVALID: Action.REAUTHENTICATE,
      TOKEN_EXPIRED: Action.REAUTHENTICATE,
      SESSION_FORBIDDEN: Action.STOP,
    };
    for (const [title, { token, reason }] of Object.entries(refusals)) {
      const end = await (await scene.talk("ann", { token })).end();
      const { code, fault } = end;
      assert.equal(fault?.reason, reason, `${title}: ${wordsOf(end)}`);
      assert.deepEqual([code, fault?.action], [Reflect.get(codes, reason), Reflect.get(actions, reason)]);
      assert.equal(token !== "" && fault?.message.includes(token), false);
    }
    const others = await scene.talk("ann", { join: { resumeToken, lastSeq: 0n } });
    const { code, fault } = await others.end();
    assert.deepEqual([code, fault?.reason], ["permission_denied", "RESUME_FORBIDDEN"]);
    const broken = await scene.talk("ben", { join: { resumeToken: `${resumeToken.slice(0, -4)}AAAA` } });
    assert.equal((await broken.end()).fault?.reason, "RESUME_TOKEN_INVALID");
  },
};
