import assert from "node:assert/strict";
import { type Answer, bodyOf, decode, faultOf } from "../../test/bad-input/ways.ts";
import { bareOf, firstOf } from "../bare.ts";
import { allowedOrigin } from "../limits.ts";
import type { CalmRow } from "../row.ts";

const nothing = new Uint8Array();
const allowed = "access-control-allow-origin";

/** A handshake that is refused is told by an error, which begins with HTTP's status. */
async function refusalOf(call: Promise<Answer>) {
  try {
    const { status, headers, error } = await call;
    return { status, reason: faultOf(error)?.reason, allows: headers.get(allowed) };
  } catch (error) {
    const says = error instanceof Error ? error.message : "";
    return { status: Number(says.slice(0, 3)), reason: /"reason":"(\w+)"/.exec(says)?.[1], allows: null };
  }
}

export const origins: CalmRow = {
  kind: "calm",
  name: "origins",
  says: "a page of an origin that is not listed is refused 403 before anything is looked at; a listed one may read",
  async run(scene) {
    const { way, method, call } = bareOf(scene);
    for (const origin of ["https://evil.example.com", `${allowedOrigin}:8443`, "null", allowedOrigin.toUpperCase()]) {
      const refused = await refusalOf(call({ method, body: nothing, headers: { origin } }));
      assert.deepEqual(refused, { status: 403, reason: "ORIGIN_FORBIDDEN", allows: null }, origin);
    }
    if (scene.way.carriage !== "socket") {
      const refused = await refusalOf(call({ method, body: nothing, headers: { origin: allowedOrigin } }));
      assert.deepEqual([refused.reason, refused.allows], ["TOKEN_INVALID", allowedOrigin]);
    }
    const body = bodyOf(way, method, firstOf(way, method, scene.session));
    const joined = await call({
      method,
      token: await scene.token("ann"),
      body,
      headers: { origin: allowedOrigin },
      deadlineMs: 1_000,
    });
    const kinds = joined.messages.map((data) => decode(way, data).payload.case);
    assert.deepEqual(kinds.slice(0, 2), ["heartbeat", "welcome"]);
  },
};
