import assert from "node:assert/strict";
import { custom } from "../conversation.ts";
import type { CalmRow } from "../row.ts";
import type { Scene } from "../scene.ts";

const messages = 200;
const bytes = 30 * 1024;
/** Within the burst of one user. */
const perWriter = 100;

export const slowReader: CalmRow = {
  kind: "calm",
  name: "slow reader",
  says: "one that takes nothing holds up nobody; when it reads again it gets each record, once and in order",
  async run(scene) {
    const proxy = await scene.proxy();
    const slow = await scene.talk("sol", { entrance: proxy.entrance });
    const other = await scene.talk("otto");
    for (const talk of [slow, other]) await talk.take("welcome");
    for (const link of proxy.links) link.down.hold();
    // It hears no heartbeat that it could answer, and tells by itself that it lives.
    const beats = setInterval(() => slow.say({ case: "heartbeat", value: { sentAt: BigInt(Date.now()) } }), 500);
    scene.cleanUp(() => clearInterval(beats));
    for (let said = 0; said < messages; said += perWriter) await sayMuch(scene, `writer${said}`);
    const isAll = (talk: typeof slow) => talk.all("custom").length === messages;
    await other.reach("all records", () => isAll(other));
    const before = slow.all("custom").length;
    assert.ok(before < messages, "nothing held it back");
    for (const link of proxy.links) link.release();
    await slow.reach("all records", () => isAll(slow));
    const expected = Array.from({ length: messages }, (_, n) => n + 1);
    for (const talk of [slow, other]) assert.deepEqual(talk.seqs(), expected);
  },
};

async function sayMuch(scene: Scene, name: string): Promise<void> {
  const headers = await scene.headers(name);
  const { resumeToken } = await (await scene.talk(name)).take("welcome");
  for (let n = 1; n <= perWriter; n++) {
    const say = { clientSeq: BigInt(n), payload: custom(`${n}`, bytes) };
    await scene.reader.publish({ sessionId: scene.session, resumeToken, messages: [say] }, { headers });
  }
}
