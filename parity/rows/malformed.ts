import assert from "node:assert/strict";
import { bodyOf, reasonOf } from "../../test/bad-input/ways.ts";
import { bareOf, firstOf } from "../bare.ts";
import type { CalmRow } from "../row.ts";

const utf8 = new TextEncoder();

/** What no message is, in binary and in JSON. */
const wrong = {
  binary: [Uint8Array.of(0x0a, 5, 0x61), Uint8Array.of(0x0e), Uint8Array.of(0x0a, 2, 0xff, 0xfe)],
  json: ['{"sessionId": SWORDFISH}', "[]", '{"sessionId": "a", "sessionId": "b"}', "null"].map((text) =>
    utf8.encode(text),
  ),
};

export const malformed: CalmRow = {
  kind: "calm",
  name: "malformed",
  says: "bytes that are no message end the call MALFORMED, wherever in it they stand and wherever it is cut",
  async run(scene) {
    const { way, method, call } = bareOf(scene);
    const token = await scene.token("ann");
    const first = firstOf(way, method, scene.session);
    const common = { method, token, deadlineMs: 10_000 };
    for (const data of wrong[way.form]) {
      const answer = await call({ ...common, body: bodyOf(way, method, data) });
      assert.equal(reasonOf(answer), "MALFORMED");
      assert.equal(answer.text.includes("SWORDFISH"), false);
      const behind = await call({ ...common, body: bodyOf(way, method, first, data) });
      assert.equal(reasonOf(behind), "MALFORMED");
    }
    const whole = bodyOf(way, method, first);
    // A message of a WebSocket has an end of its own: a shorter one may be whole too.
    const cuts = scene.way.carriage === "socket" ? [] : [3, 5];
    for (const at of [...cuts, whole.length - 1]) {
      const answer = await call({ ...common, body: whole.subarray(0, at) });
      assert.equal(reasonOf(answer), "MALFORMED", `cut at ${at}`);
    }
  },
};
