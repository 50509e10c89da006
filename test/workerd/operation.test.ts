import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { edit } from "../relay/harness.ts";
import { refusal } from "../relay/operators.ts";
import { missingWorkerd } from "./harness.ts";
import { secret, startWorkerRelay, type WorkerRelay } from "./relay.ts";

const skip = missingWorkerd === "" ? false : missingWorkerd;
const canary = "kingfisher";
const custom = { case: "custom", value: { type: "t" } } as const;

describe(`a Worker that is run${missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`}`, { skip }, () => {
  let relay: WorkerRelay;
  before(async () => {
    relay = await startWorkerRelay({ BATON_LOG_LEVEL: "trace", BATON_LIMIT_DRAIN_MS: "3000" });
  });
  after(() => relay.stop());

  /** What goes on for the others when this test is over. */
  const usual = { BATON_JWT_SECRET: secret, BATON_LOG_LEVEL: "trace" };

  test("EG20 an operator sees who is in a session, and is told how many streams were ended", async () => {
    const operator = {
      headers: { authorization: `Bearer ${await relay.token({ sub: "op", sessions: ["*"], scope: "session:admin" })}` },
    };
    const streams = [];
    for (const [as, session] of [
      ["alice", "one"],
      ["bob", "one"],
      ["alice", "two"],
    ] as const) {
      const stream = await relay.join({ as, session, clientId: `${as}-laptop` });
      await stream.take("welcome");
      streams.push(stream);
    }
    await relay.workerd.evict();
    const { info, participants } = await relay.admin().describeSession({ sessionId: "one" }, operator);
    assert.equal(info?.participants, 2);
    assert.deepEqual(participants.map(({ userId, clientId }) => [userId, clientId]).sort(), [
      ["alice", "alice-laptop"],
      ["bob", "bob-laptop"],
    ]);
    const { sessions } = await relay.admin().listSessions({}, operator);
    assert.deepEqual(
      sessions.map(({ sessionId, participants: count }) => [sessionId, count]),
      [
        ["one", 2],
        ["two", 1],
      ],
    );
    assert.equal((await relay.admin().disconnect({ sessionId: "one", userId: "bob" }, operator)).streams, 1);
    assert.equal((await relay.admin().revokeTokens({ userId: "alice" }, operator)).streams, 2);
    const reasons = await Promise.all(streams.map(async ({ ended }) => (await ended).fault?.reason));
    assert.deepEqual(reasons, ["TOKEN_REVOKED", "DISCONNECTED", "TOKEN_REVOKED"]);
  });

  test("EG22 a limit that has no effect is told once", async () => {
    await fetch(`${relay.url}/healthz`);
    const told = relay.workerd.output.split("\n").filter((line) => line.includes("have no effect"));
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /BATON_LIMIT_DRAIN_MS/);
  });

  test("EG23 there are no metrics, and the answer says why", async () => {
    const response = await fetch(`${relay.url}/metrics`);
    assert.equal(response.status, 501);
    assert.match(await response.text(), /isolates/);
  });

  test("EG24 resume tokens are signed with BATON_RESUME_SECRET: when it changes they are refused, and clients resync", async () => {
    const first = { ...usual, BATON_RESUME_SECRET: "first-".repeat(8) };
    const second = { ...usual, BATON_RESUME_SECRET: "second-".repeat(8) };
    const joinAgain = async (resumeToken: string) => {
      const stream = await relay.join({ as: "sue", session: "kept", resumeToken, lastSeq: 1n });
      const first = await Promise.race([stream.take("welcome"), stream.ended]);
      stream.cut();
      return "resumeToken" in first ? "welcome" : first.fault?.reason;
    };
    await relay.workerd.restart(first);
    const stream = await relay.join({ as: "sue", session: "kept" });
    const { resumeToken } = await stream.take("welcome");
    stream.send(custom, { clientSeq: 1n });
    await stream.take("ack");
    stream.cut();
    await relay.workerd.restart(first);
    assert.equal(await joinAgain(resumeToken), "welcome");
    await relay.workerd.restart(second);
    assert.equal(await joinAgain(resumeToken), "RESUME_TOKEN_INVALID");
    await relay.workerd.restart(usual);
    assert.equal(await joinAgain(resumeToken), "RESUME_TOKEN_INVALID");
    const anew = await relay.join({ as: "sue", session: "kept" });
    assert.equal((await anew.take("welcome")).headSeq, 1n);
    anew.cut();
  });

  test("EG22 a Worker whose variables are wrong answers 500 and which, and logs it once, without a value", async () => {
    const value = `${canary}-${"x".repeat(40)}`;
    await relay.workerd.restart({ BATON_JWT_SECRET: value, BATON_LIMIT_WRITERS: canary, BATON_PORT: canary });
    const before = relay.workerd.output.length;
    for (const path of ["/healthz", "/codereview.v1.CodeReviewService/Subscribe", "/"]) {
      const response = await fetch(`${relay.url}${path}`, { method: path === "/healthz" ? "GET" : "POST" });
      assert.equal(response.status, 500);
      const text = await response.text();
      assert.match(text, /^BATON_LIMIT_WRITERS: must be/m);
      assert.match(text, /^BATON_PORT: is of no use/m);
      assert.doesNotMatch(text, new RegExp(canary));
    }
    const logged = relay.workerd.output.slice(before);
    for (const name of ["BATON_LIMIT_WRITERS", "BATON_PORT"]) {
      assert.equal(logged.split("\n").filter((line) => line.includes(name)).length, 1);
    }
    assert.doesNotMatch(logged, new RegExp(canary));
    await relay.workerd.restart(usual);
  });

  test("EG25 no token, secret or text of a document is in anything that workerd prints", async () => {
    const variables = {
      BATON_JWT_SECRET: secret,
      BATON_RESUME_SECRET: `${canary}-resume-${"r".repeat(32)}`,
      BATON_LOG_LEVEL: "trace",
    };
    await relay.workerd.restart(variables);
    const before = relay.workerd.output.length;
    const token = await relay.token({ sub: "alice", sessions: ["quiet"] });
    const alice = await relay.join({ session: "quiet", token });
    const { resumeToken } = await alice.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, canary), { clientSeq: 1n });
    await alice.take("ack");
    alice.send({ case: "custom", value: { type: canary, data: new TextEncoder().encode(canary) } }, { clientSeq: 2n });
    await alice.take("ack");
    alice.send({ case: "tokenRotation", value: { token: `${token}${canary}` } });
    await alice.take("tokenStatus");
    alice.send(edit("a.ts", 7, 0, 0, canary), { clientSeq: 3n });
    await alice.take("fault");
    await relay.workerd.evict();
    alice.send(custom, { clientSeq: 3n });
    await alice.take("ack");
    // What cannot be read, and what is refused.
    const path = `${relay.url}/codereview.v1.CodeReviewService/Publish`;
    const bearer = { authorization: `Bearer ${token}` };
    for (const [headers, body] of [
      [bearer, `{"sessionId":"quiet","${canary}":`],
      [bearer, `{"sessionId":"quiet","resumeToken":"${canary}","messages":[]}`],
      [bearer, `{"sessionId":"quiet","resumeToken":"${resumeToken}","messages":[{"edit":{"filePath":"${canary}"}}]}`],
      [{ authorization: `Bearer ${token}${canary}` }, "{}"],
      [{ authorization: `Basic ${canary}` }, "{}"],
    ] as const) {
      const answer = await fetch(path, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body,
      });
      await answer.text();
    }
    await fetch(`${relay.url}/${canary}?_token=${canary}`);
    const operator = await relay.token({ sub: "op", sessions: ["*"], scope: "session:admin" });
    const options = { headers: { authorization: `Bearer ${operator}` } };
    await relay.admin().revokeTokens({ userId: "nobody" }, options);
    const asToken = await refusal(relay.admin().revokeTokens({ tokenId: token }, options));
    assert.equal(asToken.reason, "REQUEST_INVALID");
    await relay.workerd.abortObjects();
    await alice.ended;
    const printed = relay.workerd.output.slice(before);
    assert.match(printed, /"message":"a session came into memory"/);
    assert.match(printed, /"message":"admin call"/);
    for (const hidden of [canary, secret, token, token.split(".")[2] ?? "", operator, resumeToken]) {
      assert.equal(
        printed.includes(hidden),
        false,
        printed.slice(Math.max(0, printed.indexOf(hidden) - 300)).slice(0, 600),
      );
    }
  });
});
