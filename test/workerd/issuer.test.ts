import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";
import { certificate, createSigner, type Issuer, startIssuer } from "../auth/issuer.ts";
import { until } from "../relay/operators.ts";
import { missingWorkerd } from "./harness.ts";
import { startWorkerRelay, type WorkerRelay } from "./relay.ts";

const skip = missingWorkerd === "" ? false : missingWorkerd;

const signer = createSigner("one");
const published = JSON.stringify({ keys: [signer.jwk] });
const nowSeconds = Math.floor(Date.now() / 1_000);
const claims = { sub: "alice", iat: nowSeconds, exp: nowSeconds + 3600, sessions: ["*"], scope: "session:custom" };
const token = signer.token(claims);

describe(`an issuer's keys in workerd${missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`}`, { skip }, () => {
  let issuer: Issuer;
  let relay: WorkerRelay;
  /** Answers that the issuer holds back. */
  let held: (() => void)[] = [];
  before(async () => {
    issuer = await startIssuer();
    relay = await startWorkerRelay({ BATON_JWKS_URL: issuer.url.href }, { trusts: certificate });
  });
  after(async () => {
    await relay.stop();
    await issuer.stop();
  });
  /** A new process has no keys yet. */
  beforeEach(async () => {
    held = [];
    issuer.requests.length = 0;
    issuer.answers((_, response) => void held.push(() => void response.end(published)));
    await relay.workerd.restart();
  });

  const publish = async (jwt: string) => {
    const response = await fetch(`${relay.url}/codereview.v1.CodeReviewService/Publish`, {
      method: "POST",
      headers: { authorization: `Bearer ${jwt}`, "content-type": "application/json" },
      body: JSON.stringify({ sessionId: "demo", clientId: "c", messages: [] }),
    });
    const text = await response.text();
    return response.status === 200 ? "OK" : (/"reason":"([A-Z_]+)"/.exec(text)?.[1] ?? text);
  };

  /** A call whose client goes away; resolves when the worker has asked the issuer on its behalf. */
  const vanish = async (jwt: string) => {
    const headers = { authorization: `Bearer ${jwt}`, "content-type": "application/json" };
    const call = httpRequest(`${relay.url}/codereview.v1.CodeReviewService/Publish`, { method: "POST", headers });
    call.on("error", () => undefined);
    call.end('{"sessionId":"demo","clientId":"c"}');
    const asked = issuer.requests.length;
    await until(() => issuer.requests.length > asked);
    call.destroy();
    await new Promise((resolve) => setTimeout(resolve, 200));
  };

  test("EG27 calls that come while the issuer is asked all have its answer, and it is asked once", async () => {
    const calls = Array.from({ length: 8 }, () => publish(token));
    await until(() => held.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const answer of held) answer();
    assert.deepEqual([...new Set(await Promise.all(calls))], ["OK"]);
    assert.equal(issuer.requests.length, 1);
  });

  test("EG27 a call whose client goes away while it asks takes no other with it", async () => {
    await vanish(token);
    const calls = [publish(token), publish(token)];
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const answer of held) answer();
    assert.deepEqual(await Promise.all(calls), ["OK", "OK"]);
  });
});
