import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { CalmRow } from "../row.ts";

export const names: CalmRow = {
  kind: "calm",
  name: "names",
  says: "a session or a client whose name is none is refused SESSION_ID_INVALID, CLIENT_ID_INVALID",
  async run(scene) {
    for (const session of ["", "../etc", "a b", "ä", "x".repeat(129), "/a", "a*"]) {
      const talk = await scene.talk("ann", { session });
      const { code, fault } = await talk.end();
      assert.deepEqual(
        [session, code, fault?.reason, fault?.action],
        [session, "invalid_argument", "SESSION_ID_INVALID", Action.STOP],
      );
    }
    for (const clientId of ["a/b", "x".repeat(65), "é"]) {
      const talk = await scene.talk("ann", { join: { clientId } });
      assert.equal((await talk.end()).fault?.reason, "CLIENT_ID_INVALID");
    }
  },
};
