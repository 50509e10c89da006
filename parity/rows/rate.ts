import assert from "node:assert/strict";
import { Fault_Action as Action } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom } from "../conversation.ts";
import { limits } from "../limits.ts";
import type { CalmRow } from "../row.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export const rate: CalmRow = {
  kind: "calm",
  name: "rate",
  says: "what comes faster than allowed is refused RATE_LIMITED with the time to come again, and the stream lives",
  async run(scene) {
    const talk = await scene.talk("ann");
    await talk.take("welcome");
    let said = 0;
    const say = (count: number) => {
      for (const end = said + count; said < end; ) talk.say(custom("fast"), ++said);
    };
    say(limits.messagesBurst);
    // By and by: a relay may read no faster than it logs, and reads what came too fast no faster than allowed.
    while (talk.refused === 0) {
      await talk.reach("an answer", () => talk.refused > 0 || talk.hasAnswer(said));
      say(20);
    }
    const { code, reason, action, retryAfterMs, clientSeq } = await talk.take("fault");
    assert.deepEqual([code, reason, action], ["resource_exhausted", "RATE_LIMITED", Action.RETRY]);
    assert.ok(retryAfterMs > 0n && clientSeq > limits.messagesBurst / 2, `${clientSeq}, after ${retryAfterMs} ms`);
    // A `Publish` stops at its first Fault; what is said next must not come behind one.
    if (scene.way.carriage === "split") await talk.reach("all calls are over", () => talk.published === said);
    // Its number is free again, and the next.
    await scene.until("it may come again", async () => {
      await pause(Number(retryAfterMs));
      talk.say(custom("fast"), Number(clientSeq));
      return (await talk.answer(Number(clientSeq))) === "ack";
    });
  },
};
