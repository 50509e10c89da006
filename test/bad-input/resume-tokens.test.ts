import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createResumeTokens } from "../../src/auth/resume-token.ts";
import {
  Fault_Action as Action,
  CodeReviewService,
  Welcome_Outcome as Outcome,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { reasons } from "../../src/session/reasons.ts";
import type { Payload } from "../relay/harness.ts";
import { answersOf, converse, publish, welcomeOf } from "./conversation.ts";
import { startRelay, type TestRelay } from "./relay.ts";
import { type Answer, bodyOf, call, encode, faultOf, reasonOf, type Way, ways } from "./ways.ts";

const ttlMs = 24 * 60 * 60 * 1000;
let relay: TestRelay;
before(async () => {
  relay = await startRelay({ limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 } });
});
after(() => relay.stop());

let sessions = 0;
const newSession = () => `team-a/resumed-${++sessions}`;
const custom: Payload = { case: "custom", value: { type: "t" } };
const numbered = (...numbers: readonly bigint[]) => numbers.map((clientSeq) => ({ clientSeq, payload: custom }));

/** A client that said one thing, and the resume token that it was given. */
async function left(way: Way, session = newSession()) {
  const token = await relay.token({ sessions: [session] });
  const heard = await converse(relay, way, { session, token, clientId: "c", say: numbered(1n) });
  assert.deepEqual(answersOf(heard), ["ack 1"]);
  return { session, token, ...welcomeOf(heard) };
}

interface Bearer {
  readonly session: string;
  readonly token: string;
  readonly resumeToken: string;
}

/** Everything that takes a resume token. */
const takers: Record<string, (way: Way, bearer: Bearer) => Promise<Answer>> = {
  "one stream": (way, { session, token, resumeToken }) =>
    converse(relay, way, { session, token, join: { resumeToken }, say: [] }),
  Subscribe: (way, { session, token, resumeToken }) => {
    const { input } = CodeReviewService.method.subscribe;
    const body = bodyOf(way, "subscribe", encode(way, input, { sessionId: session, join: { resumeToken } }));
    return call(relay, way, { method: "subscribe", token, deadlineMs: 5_000, body });
  },
  Publish: (way, { session, token, resumeToken }) =>
    publish(relay, way, { session, token, join: { resumeToken }, say: [] }),
};

for (const [taker, take] of Object.entries(takers)) {
  for (const way of ways) {
    describe(`a resume token that is none: ${way.name}, ${taker}`, () => {
      const refused = async (bearer: Bearer, reason: "RESUME_TOKEN_INVALID" | "RESUME_FORBIDDEN", title: string) => {
        const answer = await take(way, bearer);
        const fault = faultOf(answer.error);
        const { code, action, says } = reasons[reason];
        assert.deepEqual(
          [title, fault?.reason, fault?.code, fault?.action, fault?.message],
          [title, reason, code, action, says],
        );
        assert.equal(answer.text.includes(bearer.resumeToken), false, title);
      };

      test("TK17 damaged, cut, of another kind, of another key: always in the same words", async () => {
        const { session, token, resumeToken } = await left(way);
        const middle = Math.floor(resumeToken.length / 2);
        const others = createResumeTokens({ secret: new Uint8Array(32).fill(7), ttlMs });
        const claims = { sessionId: session, epoch: "e", userId: "alice", clientId: "c", generation: 1, head: 1 };
        const wrong: Record<string, string> = {
          "one character changed": `${resumeToken.slice(0, middle)}${resumeToken[middle] === "A" ? "B" : "A"}${resumeToken.slice(middle + 1)}`,
          "its end cut": resumeToken.slice(0, -1),
          "its signature cut": resumeToken.slice(0, resumeToken.lastIndexOf(".") + 1),
          "more behind it": `${resumeToken}A`,
          "a text with spaces": " sword fish ",
          "no token": "nonsense",
          "10 KB": "A".repeat(10_240),
          "a JWT": token,
          "another deployment's": await others.issue(claims, relay.now()),
        };
        for (const [title, text] of Object.entries(wrong)) {
          await refused({ session, token, resumeToken: text }, "RESUME_TOKEN_INVALID", title);
        }
      });

      test("TK17 another user's, another tenant's, another session's: forbidden, without telling which", async () => {
        const { session, resumeToken } = await left(way);
        const mallory = await relay.token({ sub: "mallory", sessions: [session] });
        await refused({ session, token: mallory, resumeToken }, "RESUME_FORBIDDEN", "another user");
        const next = newSession();
        const alice = await relay.token({ sessions: [next, "team-b/x"] });
        await refused({ session: next, token: alice, resumeToken }, "RESUME_FORBIDDEN", "another session");
        await refused({ session: "team-b/x", token: alice, resumeToken }, "RESUME_FORBIDDEN", "another tenant");
      });

      test("BI4 it says where, never who or whether: without a JWT that may, it opens nothing", async () => {
        const { session, resumeToken } = await left(way);
        const withdrawn = await relay.token({ sessions: ["elsewhere"] });
        const useless = await relay.token({ sessions: [session], scope: "openid" });
        const old = await relay.token({ sessions: [session], ttlSeconds: 1, nowMs: relay.now() - 3_600_000 });
        const tokens = { [withdrawn]: "SESSION_FORBIDDEN", [useless]: "SESSION_FORBIDDEN", [old]: "TOKEN_EXPIRED" };
        for (const [token, reason] of Object.entries(tokens)) {
          assert.equal(reasonOf(await take(way, { session, token, resumeToken })), reason);
        }
        // Nor does the refusal tell whether the resume token was a good one.
        const nonsense = await take(way, { session, token: withdrawn, resumeToken: "nonsense" });
        assert.equal(reasonOf(nonsense), "SESSION_FORBIDDEN");
      });
    });
  }
}

for (const way of ways) {
  describe(`an old resume token: ${way.name}`, () => {
    test("BI5 it is a place to go on from: the join claims anew, and no number is rolled back", async () => {
      const { session, token, resumeToken } = await left(way);
      const second = await converse(relay, way, {
        session,
        token,
        join: { resumeToken, lastSeq: 1n },
        say: numbered(2n, 3n),
      });
      assert.deepEqual(answersOf(second), ["ack 2", "ack 3"]);
      const replayed = await converse(relay, way, {
        session,
        token,
        join: { resumeToken, lastSeq: 1n },
        say: numbered(3n, 4n),
      });
      const welcome = welcomeOf(replayed);
      assert.deepEqual([welcome.outcome, welcome.lastClientSeq, welcome.clientId], [Outcome.RESUMED, 3n, "c"]);
      assert.equal((await relay.log.describe(session))?.head, 4);
      const again = await converse(relay, way, {
        session,
        token,
        join: { resumeToken, lastSeq: 4n },
        say: numbered(4n),
      });
      assert.deepEqual(answersOf(again), ["ack 4"]);
    });

    test("BI5 a Publish under it is SUPERSEDED once its client has joined again, and writes nothing", async () => {
      const { session, token, resumeToken } = await left(way);
      const newer = await converse(relay, way, { session, token, join: { resumeToken, lastSeq: 1n }, say: [] });
      const late = await publish(relay, way, { session, token, join: { resumeToken }, say: numbered(2n) });
      assert.deepEqual([reasonOf(late), faultOf(late.error)?.action], ["SUPERSEDED", Action.STOP]);
      assert.equal((await relay.log.describe(session))?.head, 1);
      const current = welcomeOf(newer).resumeToken;
      const taken = await publish(relay, way, {
        session,
        token,
        join: { resumeToken: current },
        say: numbered(2n),
      });
      assert.deepEqual(answersOf(taken), ["ack 2"]);
    });

    test("RS8 a last_seq beyond the head is resynced, not waited for", async () => {
      const { session, token, resumeToken } = await left(way);
      for (const lastSeq of [2n, 2n ** 53n, 2n ** 64n - 1n]) {
        const heard = await converse(relay, way, { session, token, join: { resumeToken, lastSeq }, say: [] });
        assert.equal(welcomeOf(heard).outcome, Outcome.RESYNCED);
        assert.ok(heard.said.some(({ payload }) => payload.case === "snapshot"));
      }
    });

    test("RS6 a token of a history that was replaced: the join is resynced, a Publish ends EPOCH_CHANGED", async () => {
      const { session, token, resumeToken, epoch } = await left(way);
      await relay.log.renewEpoch(session, epoch, `next-${sessions}`);
      const say = { session, token, join: { resumeToken }, say: numbered(2n) };
      // The room learns of it by the log's doorbell, and is gone when somebody calls.
      const published = await publish(relay, way, say);
      assert.deepEqual([reasonOf(published), faultOf(published.error)?.action], ["EPOCH_CHANGED", Action.RESYNC]);
      const heard = await converse(relay, way, { session, token, join: { resumeToken, lastSeq: 1n }, say: [] });
      assert.equal(welcomeOf(heard).outcome, Outcome.RESYNCED);
    });

    test("BI4 whoever is handed another's client id or token is still themselves", async () => {
      const { session } = await left(way);
      const victim = await relay.token({ sub: "victim", sessions: [session] });
      const heard = await converse(relay, way, { session, token: victim, clientId: "c", say: numbered(1n) });
      assert.deepEqual(answersOf(heard), ["ack 1"]);
      assert.equal(welcomeOf(heard).lastClientSeq, 0n);
      for (const { userId, payload } of heard.said) if (payload.case === "welcome") assert.equal(userId, "victim");
    });
  });
}

test("TK17 an expired resume token is RESUME_TOKEN_INVALID by every way that takes one", async () => {
  const [way] = ways;
  assert.ok(way !== undefined);
  const aged = await startRelay();
  try {
    const session = "aged";
    const before = await aged.token({ sessions: [session] });
    const heard = await converse(aged, way, { session, token: before, say: [] });
    const { resumeToken } = welcomeOf(heard);
    aged.advance(ttlMs - 60_000);
    const fresh = () => aged.token({ sessions: [session] });
    const still = await converse(aged, way, { session, token: await fresh(), join: { resumeToken }, say: [] });
    assert.equal(welcomeOf(still).outcome, Outcome.RESUMED);
    aged.advance(60_000);
    const token = await fresh();
    for (const say of [converse, publish]) {
      const answer = await say(aged, way, { session, token, join: { resumeToken }, say: [] });
      assert.deepEqual([reasonOf(answer), faultOf(answer.error)?.action], ["RESUME_TOKEN_INVALID", Action.RESYNC]);
    }
  } finally {
    await aged.stop();
  }
});
