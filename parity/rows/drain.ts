import assert from "node:assert/strict";
import {
  Fault_Action as Action,
  GoAway_Reason as GoAwayReason,
  Welcome_Outcome as Outcome,
  type Welcome,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom, type Opening } from "../conversation.ts";
import type { UpheavalRow } from "../row.ts";
import type { Scene } from "../scene.ts";
import { gather, typeAll } from "../typing.ts";

export const drain: UpheavalRow = {
  kind: "upheaval",
  name: "drain",
  says: "a relay that is asked to stop says GoAway, ends streams DRAIN, and the next process resumes them; nothing is lost",
  async begin(scene) {
    const join = { clientId: "desk" };
    const session = `${scene.session}-quiet`;
    const talk = await scene.talk("ann", { session, join });
    const { resumeToken, epoch } = await talk.take("welcome");
    talk.say(custom("before"), 1);
    await talk.take("ack", ({ seq }) => seq === 1n);
    const people = await gather(scene, ["ben", "cleo"]);
    const typing = typeAll(people, scene.random, 60);
    // What it rejects with is told where it is awaited.
    typing.catch(() => undefined);
    return async () => {
      const { code, fault } = await talk.end();
      assert.deepEqual([code, fault?.reason, fault?.action], ["unavailable", "DRAIN", Action.RECONNECT]);
      assert.deepEqual(
        talk.all("goAway").map(({ reason }) => reason),
        [GoAwayReason.DRAIN],
      );
      const welcome = await comeBack(scene, { session, join: { ...join, resumeToken, lastSeq: 1n } });
      assert.deepEqual([welcome.outcome, welcome.epoch, welcome.lastClientSeq], [Outcome.RESUMED, epoch, 1n]);
      await typing;
      await scene.settle(people);
      for (const { counts } of people) assert.ok(counts.resumed > 0 && counts.resynced === 0);
    };
  },
  async upheave(relay) {
    await relay.stop();
    await relay.start();
  },
};

/** A connection that `fetch` keeps may be one to the process that is gone: what fails without a Fault is tried again. */
async function comeBack(scene: Scene, opening: Pick<Opening, "session" | "join">): Promise<Welcome> {
  for (let left = 3; ; left--) {
    const talk = await scene.talk("ann", opening);
    try {
      return await talk.take("welcome");
    } catch (error) {
      if (left === 0 || (await talk.end()).fault !== undefined) throw error;
    }
  }
}
