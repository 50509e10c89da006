import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { TokenStatus_State as State, type TokenStatus } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type Payload, startRelay, type TestRelay } from "../relay/harness.ts";
import { answersOf, carriages, converse, type Heard, publish, welcomeOf } from "./conversation.ts";
import { reasonOf, type Way, ways } from "./ways.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay({ limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 } });
});
after(() => relay.stop());

let sessions = 0;
const custom: Payload = { case: "custom", value: { type: "t" } };
const rotation = (token: string): { payload: Payload } => ({ payload: { case: "tokenRotation", value: { token } } });
const statusesOf = ({ said }: Heard): TokenStatus[] =>
  said.flatMap(({ payload }) => (payload.case === "tokenStatus" ? [payload.value] : []));

for (const [carriage, say] of Object.entries(carriages)) {
  for (const way of ways) {
    describe(`a token that takes the place of another: ${way.name}, ${carriage}`, () => {
      test("TL6 refused: another subject, tenant or session, no right to read, expired, a resume token, nonsense", async () => {
        const session = `team-a/rotated-${++sessions}`;
        const token = await relay.token({ sessions: ["team-a/*"] });
        const { resumeToken } = welcomeOf(await converse(relay.url, way, { session, token, say: [] }));
        const refused: Record<string, string> = {
          "another subject": await relay.token({ sub: "Alice", sessions: ["team-a/*"] }),
          "another tenant": await relay.token({ sessions: ["team-b/*"] }),
          "another session": await relay.token({ sessions: ["team-a/other"] }),
          "no right": await relay.token({ sessions: ["team-a/*"], scope: "openid" }),
          expired: await relay.token({ sessions: ["team-a/*"], ttlSeconds: 1, nowMs: relay.now() - 3_600_000 }),
          "of the future": await relay.token({ sessions: ["team-a/*"], nowMs: relay.now() + 3_600_000 }),
          "a resume token": resumeToken,
          "10 KB": "A".repeat(10_240),
          nonsense: "SWORDFISH",
          empty: "",
        };
        for (const [title, next] of Object.entries(refused)) {
          const heard: Heard = await say(relay.url, way, {
            session,
            token,
            clientId: `c-${title.length}-${sessions++}`,
            say: [rotation(next), { clientSeq: 1n, payload: custom }],
          });
          assert.deepEqual([title, reasonOf(heard), ...answersOf(heard)], [title, "OK", "ack 1"]);
          const [status, more] = statusesOf(heard);
          assert.deepEqual([title, status?.state, more], [title, State.REJECTED, undefined]);
          assert.equal(next !== "" && status?.reason.includes(next), false, title);
        }
      });
    });
  }
}

/** Says what is to be said, behind a Join, on one stream of a new session. */
async function onOneStream(
  way: Way,
  token: (session: string) => Promise<string>,
  say: (session: string) => Promise<readonly { payload: Payload; clientSeq?: bigint }[]>,
) {
  const session = `team-a/stream-${++sessions}`;
  return converse(relay.url, way, { session, token: await token(session), say: await say(session) });
}

for (const way of ways) {
  describe(`rotation on a stream: ${way.name}`, () => {
    const scoped = (session: string, scope: string, ttlSeconds = 3600) =>
      relay.token({ sessions: [session], scope, ttlSeconds });

    test("TL4 in the middle of a batch: what stands before it goes under the old rights, what stands behind under the new", async () => {
      const heard = await onOneStream(
        way,
        (session) => scoped(session, "session:custom"),
        async (session) => [
          { clientSeq: 1n, payload: custom },
          { clientSeq: 2n, payload: custom },
          rotation(await scoped(session, "session:read")),
          { clientSeq: 3n, payload: custom },
          rotation(await scoped(session, "session:custom", 60)),
          { clientSeq: 3n, payload: custom },
        ],
      );
      assert.deepEqual(answersOf(heard).sort(), ["ack 1", "ack 2", "ack 3", "fault 3 SCOPE_MISSING"]);
      assert.deepEqual(
        statusesOf(heard).map(({ state, scopes }) => [state, scopes.length]),
        [
          [State.ACCEPTED, 1],
          [State.ACCEPTED, 2],
        ],
      );
    });

    test("TK16 an older token of the same user is one like any other: its end and its scopes hold", async () => {
      const heard = await onOneStream(
        way,
        (session) => scoped(session, "session:custom session:edit"),
        async (session) => [
          rotation(
            await relay.token({
              sessions: [session],
              scope: "session:custom",
              ttlSeconds: 3600,
              nowMs: relay.now() - 60_000,
            }),
          ),
        ],
      );
      const [status] = statusesOf(heard);
      assert.deepEqual([status?.state, status?.scopes.length], [State.ACCEPTED, 2]);
      assert.ok(Number(status?.expiresAt) < relay.now() + 3_600_000 - 50_000);
    });
  });
}

test("LM1 BI8 a rotation counts against the rate: a flood of them is refused, and the token in force stays", async () => {
  const strict = await startRelay({ limits: { messagesPerSecond: 1, messagesBurst: 10 } });
  try {
    for (const way of ways.slice(0, 3)) {
      const token = await strict.token({ sub: way.name });
      const flood = Array.from({ length: 12 }, () => rotation("nonsense"));
      const heard = await publish(strict.url, way, { session: "demo", token, clientId: "c", say: flood });
      assert.equal(statusesOf(heard).length, 9);
      assert.deepEqual(answersOf(heard), ["fault 0 RATE_LIMITED"]);
    }
    const stream = await strict.join({ as: "flood" });
    await stream.take("welcome");
    for (let n = 0; n < 12; n++) stream.send({ case: "tokenRotation", value: { token: "nonsense" } });
    for (let n = 0; n < 10; n++) assert.equal((await stream.take("tokenStatus")).state, State.REJECTED);
    assert.equal((await stream.take("fault")).reason, "RATE_LIMITED");
  } finally {
    await strict.stop();
  }
});
