import assert from "node:assert/strict";
import { custom } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

const messages = 20;

export const halfClose: CalmRow = {
  kind: "calm",
  name: "half-close",
  says: "who says a lot and closes its half at once has everything answered, and the stream ends OK",
  async run(scene) {
    const talk = await scene.talk("ann");
    await talk.take("snapshot");
    for (let n = 1; n <= messages; n++) talk.say(custom(`${n}`), n);
    talk.finish();
    const end = await talk.end();
    assert.deepEqual(end, {});
    const acks = [
      ...talk.all("ack"),
      ...talk.replies.flatMap(({ payload }) => (payload.case === "ack" ? [payload.value] : [])),
    ];
    const acked = new Set(acks.map(({ clientSeq }) => Number(clientSeq)));
    assert.deepEqual(
      [...acked].sort((a, b) => a - b),
      Array.from({ length: messages }, (_, n) => n + 1),
    );
    assert.equal((await scene.log()).length, messages);
  },
};
