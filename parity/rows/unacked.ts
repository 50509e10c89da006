import assert from "node:assert/strict";
import { Fault_Action as Action, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { bodyOf, decode, encode, reasonOf } from "../../test/bad-input/ways.ts";
import { bareOf } from "../bare.ts";
import { custom } from "../conversation.ts";
import { type CalmRow, notSplit } from "../row.ts";

const messages = 60;
const bytes = 8 * 1024;

export const unacked: CalmRow = {
  kind: "calm",
  name: "unacked",
  says: "more that waits for its Ack than allowed is refused UNACKED_LIMIT, and the stream lives",
  lacks: notSplit("one `Publish` holds no more than may be unacked, and the next waits for its answer"),
  async run(scene) {
    const { way, method, call } = bareOf(scene);
    const join = { clientId: "desk" };
    const first = { sessionId: scene.session, payload: { case: "join", value: join } };
    const said = Array.from({ length: messages }, (_, n) => ({
      clientSeq: BigInt(n + 1),
      payload: custom("much", bytes),
    }));
    // In one piece: of messages that come one by one, a relay may log each before it reads the next.
    const body = bodyOf(way, method, ...[first, ...said].map((message) => encode(way, SessionMessageSchema, message)));
    const answer = await call({ method, token: await scene.token("ann"), body });
    assert.equal(reasonOf(answer), "OK");
    const told = answer.messages.flatMap((data) => {
      const { payload } = decode(way, data);
      return payload.case === "ack" || payload.case === "fault" ? [payload] : [];
    });
    assert.deepEqual(
      told.map(({ value }) => Number(value.clientSeq)).sort((a, b) => a - b),
      said.map(({ clientSeq }) => Number(clientSeq)),
    );
    const fault = told.flatMap((one) => (one.case === "fault" ? [one.value] : []))[0];
    assert.ok(fault !== undefined, "nothing was refused");
    assert.deepEqual([fault.code, fault.reason, fault.action], ["resource_exhausted", "UNACKED_LIMIT", Action.RETRY]);
    assert.ok(fault.retryAfterMs > 0n);
    const talk = await scene.talk("ann", { join });
    assert.equal((await talk.take("welcome")).lastClientSeq, fault.clientSeq - 1n);
    talk.say(custom("again"), Number(fault.clientSeq));
    await talk.take("ack", ({ clientSeq }) => clientSeq === fault.clientSeq);
  },
};
