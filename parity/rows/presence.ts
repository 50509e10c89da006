import assert from "node:assert/strict";
import { PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Conversation } from "../conversation.ts";
import { custom } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

/** What somebody was told of a user, in order, keepalives aside. */
const toldOf = (talk: Conversation, user: string): Status[] =>
  talk.heard.flatMap(({ userId, payload }) =>
    payload.case === "presence" && userId === user ? [payload.value.status] : [],
  );

export const presence: CalmRow = {
  kind: "calm",
  name: "presence",
  says: "who joins, is idle and leaves is told once each; who is back within the grace was never away",
  async run(scene) {
    const witness = await scene.talk("wanda");
    await witness.take("welcome");
    const ann = scene.user("ann");
    const join = { clientId: "desk" };
    const first = await scene.talk("ann", { join });
    const { resumeToken, participants } = await first.take("welcome");
    assert.deepEqual(participants.map(({ userId }) => userId).sort(), [ann, scene.user("wanda")].sort());
    await witness.reach("JOINED", () => toldOf(witness, ann).includes(Status.JOINED));
    await witness.reach("IDLE", () => toldOf(witness, ann).includes(Status.IDLE));
    first.say(custom("awake"), 1);
    await witness.reach("ACTIVE", () => toldOf(witness, ann).includes(Status.ACTIVE));
    first.cut();
    const back = await scene.talk("ann", { join: { ...join, resumeToken, lastSeq: 0n } });
    await back.take("welcome");
    back.cut();
    await witness.reach("LEFT", () => toldOf(witness, ann).includes(Status.LEFT));
    // Whatever would tell of it a second time has come before this.
    const last = await scene.talk("carl");
    await last.take("welcome");
    await witness.reach("another", () => toldOf(witness, scene.user("carl")).length > 0);
    const told = toldOf(witness, ann);
    assert.deepEqual([told[0], told.at(-1)], [Status.JOINED, Status.LEFT]);
    for (const once of [Status.JOINED, Status.LEFT]) {
      assert.equal(told.filter((status) => status === once).length, 1, told.join(", "));
    }
  },
};
