import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";
import { bareOf } from "../bare.ts";
import type { CalmRow } from "../row.ts";

const nothing = new Uint8Array();

export const paths: CalmRow = {
  kind: "calm",
  name: "wrong path, verb, type",
  says: "a path, verb or content type that is none is refused in the words of the protocol: 404, 405, 415",
  lacks: ({ carriage }) =>
    carriage === "socket" ? "its handshake has a path and a verb, and no content type" : undefined,
  async run(scene) {
    const { way, method, call } = bareOf(scene);
    const token = await scene.token("ann");
    const path = await call({
      method,
      token,
      body: nothing,
      headers: { ":path": "/codereview.v1.CodeReviewService/Nothing" },
    });
    // gRPC knows no status of HTTP but 200 where its own says what is wrong.
    assert.equal(path.status, way.protocol === "grpc" ? 200 : 404);
    const verb = await call({ method, token, body: nothing, headers: { ":method": "PUT" } });
    assert.deepEqual([verb.status, verb.headers.get("allow")], [405, "POST"]);
    const type = await call({ method, token, body: nothing, headers: { "content-type": "text/plain" } });
    assert.equal(type.status, 415);
    assert.match(type.headers.get("accept-post") ?? "", /application\/connect\+proto/);
    for (const { error } of [path, verb]) assert.equal(error?.code, Code.Unimplemented);
  },
};
