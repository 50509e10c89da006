import assert from "node:assert/strict";
import { endFromError } from "../../src/client/stream-error.ts";
import { Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit } from "../conversation.ts";
import { limits } from "../limits.ts";
import type { CalmRow } from "../row.ts";
import type { Scene } from "../scene.ts";

/** Of one `Publish`: all within the burst of one user. */
const perCall = 100;

export const resumeAfterTrim: CalmRow = {
  kind: "calm",
  name: "resume after trim",
  says: "a client that was away for longer than the log reaches is given the state, and goes on from there",
  async run(scene) {
    const ann = await scene.talk("ann", { join: { clientId: "desk" } });
    const { resumeToken, epoch } = await ann.take("welcome");
    ann.say(edit("a.ts", 0, 0, 0, "kept"), 1);
    await ann.take("ack", ({ seq }) => seq === 1n);
    ann.cut();
    const others = Math.ceil((2 * limits.logRecords) / perCall);
    for (let n = 0; n < others; n++) await sayMuch(scene, `other${n}`);
    await scene.until("the beginning of the log is gone", () => isTrimmed(scene));

    const back = await scene.talk("ann", { join: { clientId: "desk", resumeToken, lastSeq: 1n } });
    const welcome = await back.take("welcome");
    const head = BigInt(1 + others * perCall);
    assert.deepEqual(
      [welcome.outcome, welcome.epoch, welcome.headSeq, welcome.lastClientSeq],
      [Outcome.RESYNCED, epoch, head, 1n],
    );
    const snapshot = await back.take("snapshot");
    assert.deepEqual([snapshot.seq, snapshot.files.map(({ content }) => content)], [head, ["kept"]]);
    back.say(edit("a.ts", 1, 4, 4, "!"), 2);
    assert.equal((await back.take("ack", ({ seq }) => seq > 0n)).seq, head + 1n);
  },
};

async function sayMuch(scene: Scene, name: string): Promise<void> {
  const messages = Array.from({ length: perCall }, (_, n) => ({
    clientSeq: BigInt(n + 1),
    payload: { case: "custom", value: { type: "note" } } as const,
  }));
  const request = { sessionId: scene.session, clientId: "c", messages };
  const { replies } = await scene.reader.publish(request, { headers: await scene.headers(name) });
  const faults = replies.flatMap(({ payload }) => (payload.case === "fault" ? [payload.value.reason] : []));
  assert.deepEqual([replies.length, faults], [perCall, []]);
}

async function isTrimmed(scene: Scene): Promise<boolean> {
  const first = await scene.log(1).then(
    () => "kept",
    (error) => endFromError(error).fault?.reason,
  );
  assert.match(first ?? "", /^(kept|SEQ_OUT_OF_RANGE)$/);
  return first !== "kept";
}
