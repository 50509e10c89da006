import assert from "node:assert/strict";
import { bodyOf, decode, faultOf } from "../../test/bad-input/ways.ts";
import { bareOf, firstOf, lacksBare } from "../bare.ts";
import { allowedOrigin } from "../limits.ts";
import type { CalmRow } from "../row.ts";

const nothing = new Uint8Array();
const allowed = "access-control-allow-origin";

export const origins: CalmRow = {
  kind: "calm",
  name: "origins",
  says: "a page of an origin that is not listed is refused 403 before anything is looked at; a listed one may read",
  lacks: lacksBare,
  async run(scene) {
    const { way, method, call } = bareOf(scene);
    for (const origin of ["https://evil.example.com", `${allowedOrigin}:8443`, "null", allowedOrigin.toUpperCase()]) {
      const answer = await call({ method, body: nothing, headers: { origin } });
      assert.deepEqual([origin, answer.status, faultOf(answer.error)?.reason], [origin, 403, "ORIGIN_FORBIDDEN"]);
      assert.equal(answer.headers.get(allowed), null);
    }
    const answer = await call({ method, body: nothing, headers: { origin: allowedOrigin } });
    assert.deepEqual([answer.headers.get(allowed), faultOf(answer.error)?.reason], [allowedOrigin, "TOKEN_INVALID"]);
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
