import assert from "node:assert/strict";
import { foldTexts } from "../../trial/log.ts";
import { edit as editOf } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

export const edit: CalmRow = {
  kind: "calm",
  name: "edit",
  says: "an edit is acked with its place and version, another participant gets it there, and the log has it",
  async run(scene) {
    const ann = await scene.talk("ann", { join: { clientId: "desk" } });
    const ben = await scene.talk("ben", { join: { clientId: "desk" } });
    for (const talk of [ann, ben]) await talk.take("snapshot");
    ann.say(editOf("a.ts", 0, 0, 0, "hello"), 1);
    const first = await ann.take("ack", ({ seq }) => seq > 0n);
    assert.deepEqual([first.clientSeq, first.seq, first.version], [1n, 1n, 1]);
    const heard = await ben.take("edit");
    assert.deepEqual(
      [heard.filePath, heard.version, heard.changes.map(({ from, to, insert }) => [from, to, insert])],
      ["a.ts", 1, [[0, 0, "hello"]]],
    );
    // Both on version 1: the later one is mapped over the one before.
    ann.say(editOf("a.ts", 1, 5, 5, " world"), 2);
    await ann.take("ack", ({ clientSeq, seq }) => clientSeq === 2n && seq > 0n);
    ben.say(editOf("a.ts", 1, 0, 1, "H"), 1);
    await ben.take("ack", ({ clientSeq, seq }) => clientSeq === 1n && seq > 0n);
    await ann.take("edit", ({ version }) => version === 3);
    const records = await scene.log();
    assert.equal(foldTexts(scene.session, records).get("a.ts"), "Hello world");
    for (const talk of [ann, ben]) {
      await talk.reach("all three", () => talk.seqs().length >= 3);
      assert.deepEqual(talk.seqs(), [1, 2, 3]);
    }
    assert.deepEqual(
      records.map(({ userId, clientSeq }) => [userId, clientSeq]),
      [
        [scene.user("ann"), 1n],
        [scene.user("ann"), 2n],
        [scene.user("ben"), 1n],
      ],
    );
  },
};
