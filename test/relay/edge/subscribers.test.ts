import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  FaultSchema,
  type PublishRequest,
  PublishRequestSchema,
  TokenStatus_State as TokenState,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { Subscribers } from "../../../src/relay/edge/subscribers.ts";
import { refusal, until } from "../operators.ts";
import { startEdge, type TestEdge } from "./harness.ts";

const custom = { case: "custom", value: { type: "t", data: new Uint8Array(8) } } as const;
const heartbeat = (value: { sentAt?: bigint; echo?: bigint; receivedSeq?: bigint }) =>
  ({ payload: { case: "heartbeat", value } }) as const;

describe("a Publish that says no more than that its client lives", () => {
  let edge: TestEdge;
  before(async () => {
    edge = await startEdge({ limits: { heartbeatMs: 400 } });
  });
  after(async () => {
    await edge.stop();
    assert.deepEqual(edge.objects.afterlife, []);
  });

  async function subscribe(session: string) {
    const client = edge.client();
    const bearer = async (ttlSeconds: number) => ({
      headers: { authorization: `Bearer ${await edge.token({ sub: "sue", sessions: [session], ttlSeconds })}` },
    });
    const options = await bearer(600);
    const abort = new AbortController();
    const seen: string[] = [];
    const states: TokenState[] = [];
    const { promise: joined, resolve: join } = Promise.withResolvers<string>();
    const reading = (async () => {
      const request = { sessionId: session, join: { clientId: "laptop" } };
      for await (const { payload } of client.subscribe(request, { ...options, signal: abort.signal })) {
        seen.push(String(payload.case));
        if (payload.case === "welcome") join(payload.value.resumeToken);
        if (payload.case === "tokenStatus") states.push(payload.value.state);
      }
    })();
    const ended = reading.then(
      () => "OK",
      (error: unknown) => ConnectError.from(error).findDetails(FaultSchema)[0]?.reason,
    );
    const resumeToken = await joined;
    const publish = async (messages: object[], headers = options) =>
      (await client.publish({ sessionId: session, resumeToken, messages }, headers)).replies;
    /** How often its object was woken for that. */
    const wakes = async (work: () => Promise<unknown>) => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      const before = edge.objects.events;
      await work();
      return edge.objects.events - before;
    };
    return { publish, wakes, bearer, ended, states, cut: () => abort.abort(), resumeToken, options };
  }

  test("EG26 is answered at the gateway of its stream, wakes no object, and keeps the stream alive", async () => {
    const sue = await subscribe("lives");
    const woken = await sue.wakes(async () => {
      for (let n = 1n; n <= 8n; n++) {
        // Each time more than half of what it may be silent.
        edge.advance(2_500);
        const replies = await sue.publish([heartbeat({ sentAt: n }), heartbeat({ sentAt: 9n, echo: 7n })]);
        assert.deepEqual(
          replies.map(({ payload, userId, clientId, sessionId }) => [
            sessionId,
            userId,
            clientId,
            payload.case === "heartbeat" ? payload.value.echo : payload.case,
          ]),
          [["lives", "sue", "laptop", n]],
        );
      }
    });
    assert.equal(woken, 0);
    edge.advance(4_100);
    assert.equal(await sue.ended, "CLIENT_SILENT");
    // Its stream is over: what the token is worth, the object says.
    assert.equal(await sue.wakes(() => sue.publish([heartbeat({ sentAt: 1n })])), 1);
  });

  test("EG26 what its client has received is told to the object, once", async () => {
    const sue = await subscribe("received");
    await sue.publish([{ clientSeq: 1n, payload: custom }]);
    const say = (receivedSeq: bigint) => sue.wakes(() => sue.publish([heartbeat({ sentAt: 1n, receivedSeq })]));
    assert.deepEqual([await say(1n), await say(1n), await say(0n), await say(1n)], [1, 0, 0, 0]);
    const replies = await sue.publish([heartbeat({ receivedSeq: 77n })]);
    const [reply] = replies;
    assert.equal(reply?.payload.case === "fault" && reply.payload.value.reason, "HEARTBEAT_INVALID");
    // What was refused was not taken.
    assert.equal(await say(1n), 0);
    sue.cut();
  });

  test("EG26 under a newer JWT it is handed on, and the stream lives on that", async () => {
    const sue = await subscribe("renewed");
    edge.advance(2_000);
    const newer = await sue.bearer(3_600);
    assert.equal(await sue.wakes(() => sue.publish([heartbeat({ sentAt: 1n })], newer)), 1);
    await until(() => sue.states.includes(TokenState.ACCEPTED));
    assert.equal(await sue.wakes(() => sue.publish([heartbeat({ sentAt: 2n })], newer)), 0);
    sue.cut();
  });

  test("EG26 what says more, or comes from somebody else, is the object's", async () => {
    const sue = await subscribe("more");
    const asked = async (work: () => Promise<unknown>) => (await sue.wakes(work)) > 0;
    assert.ok(await asked(() => sue.publish([])));
    assert.ok(await asked(() => sue.publish([heartbeat({ sentAt: 1n }), { clientSeq: 1n, payload: custom }])));
    const [refused] = await sue.publish([{ ...heartbeat({ sentAt: 1n }), clientId: "other" }]);
    assert.equal(refused?.payload.case === "fault" && refused.payload.value.reason, "WRONG_SENDER");
    const { resumeToken } = sue;
    const messages = [heartbeat({ sentAt: 1n })];
    const mallory = await edge.token({ sub: "mallory", sessions: ["more", "other"] });
    const options = { headers: { authorization: `Bearer ${mallory}` } };
    const foreign = await refusal(edge.client().publish({ sessionId: "more", resumeToken, messages }, options));
    assert.equal(foreign.reason, "RESUME_FORBIDDEN");
    const token = await edge.token({ sub: "sue", sessions: ["other"] });
    const elsewhere = { headers: { authorization: `Bearer ${token}` } };
    const moved = await refusal(edge.client().publish({ sessionId: "other", resumeToken, messages }, elsewhere));
    assert.equal(moved.reason, "RESUME_FORBIDDEN");
    sue.cut();
  });

  test("EG26 an older stream's end leaves the newer one known that has the same token", () => {
    const subscribers = new Subscribers();
    const principal = {
      userId: "sue",
      scopes: new Set([]),
      sessions: ["s"],
      issuedAtMs: 1,
      expiresAtMs: 2,
      tokenId: undefined,
    };
    const identity = { sessionId: "s", userId: "sue", clientId: "c", key: "k" };
    const [older, newer] = [
      { principal, heard: () => assert.fail("it is over") },
      { principal, heard: () => undefined },
    ];
    const request: PublishRequest = create(PublishRequestSchema, {
      sessionId: "s",
      resumeToken: "t",
      messages: [heartbeat({ sentAt: 1n })],
    });
    subscribers.add("t", identity, older);
    subscribers.add("t", identity, newer);
    subscribers.delete("t", older);
    assert.equal(subscribers.answer(request, principal, 5)?.replies.length, 1);
    subscribers.delete("t", newer);
    assert.equal(subscribers.answer(request, principal, 5), undefined);
  });
});
