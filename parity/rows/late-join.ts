import assert from "node:assert/strict";
import { Join_History as History } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { custom, edit } from "../conversation.ts";
import type { CalmRow } from "../row.ts";

export const lateJoin: CalmRow = {
  kind: "calm",
  name: "late join",
  says: "whoever joins late gets the state, the whole log, or only what follows, as asked; then the tail",
  async run(scene) {
    const ann = await scene.talk("ann");
    ann.say(edit("a.ts", 0, 0, 0, "hello"), 1);
    await ann.take("ack", ({ seq }) => seq === 1n);
    ann.say(custom("note"), 2);
    ann.say({ case: "comment", value: { commentId: "c", filePath: "a.ts", lineNumber: 1, text: "why?" } }, 3);
    await ann.take("ack", ({ seq }) => seq === 3n);
    const late = async (history: History) => {
      const talk = await scene.talk("ben", { join: { history } });
      return { talk, welcome: await talk.take("welcome") };
    };
    const [state, full, live] = [await late(History.SNAPSHOT), await late(History.FULL), await late(History.LIVE)];
    assert.deepEqual(
      [state, full, live].map(({ welcome }) => welcome.headSeq),
      [3n, 3n, 3n],
    );
    ann.say(edit("a.ts", 1, 5, 5, "!"), 4);
    for (const { talk } of [state, full, live]) await talk.take("edit", ({ version }) => version === 2);
    assert.deepEqual(
      [state, full, live].map(({ talk }) => talk.seqs()),
      [[4], [1, 2, 3, 4], [4]],
    );
    const [snapshot, ...more] = state.talk.all("snapshot");
    assert.ok(snapshot !== undefined && more.length === 0);
    assert.deepEqual(
      [snapshot.seq, snapshot.files.map(({ filePath, content }) => [filePath, content])],
      [3n, [["a.ts", "hello"]]],
    );
    assert.deepEqual(
      snapshot.comments.map(({ text, userId }) => [text, userId]),
      [["why?", scene.user("ann")]],
    );
    assert.equal(full.talk.all("snapshot").length + live.talk.all("snapshot").length, 0);
  },
};
