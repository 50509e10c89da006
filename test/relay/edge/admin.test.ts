import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { SessionLog } from "../../../src/durable/session-log.ts";
import { PresenceUpdate_Status as Status } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../../src/session/reasons.ts";
import { edit, type Stream } from "../harness.ts";
import { holdLog, refusal } from "../operators.ts";
import { startEdge, type TestEdge } from "./harness.ts";

const custom = { case: "custom", value: { type: "t", data: new Uint8Array(8) } } as const;

async function operator(edge: TestEdge, sessions: readonly string[] = ["*"]) {
  const token = await edge.token({ sub: "operator", sessions, scope: "session:admin" });
  return { headers: { authorization: `Bearer ${token}` } };
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

describe("what an operator sees and ends at a gateway", () => {
  let edge: TestEdge;
  before(async () => {
    edge = await startEdge();
  });
  after(async () => {
    await edge.stop();
    assert.deepEqual(edge.objects.afterlife, []);
  });

  test("EG20 who is in a session, and its files, are what its object says", async () => {
    const alice = await edge.join({ session: "seen", clientId: "laptop" });
    await alice.take("welcome");
    alice.send(edit("b.ts", 0, 0, 0, "canary"), { clientSeq: 1n });
    alice.send(edit("a.ts", 0, 0, 0, "x"), { clientSeq: 2n });
    alice.send({ case: "presence", value: { status: Status.ACTIVE, displayName: "Alice" } });
    await alice.take("ack");
    await alice.take("ack");
    const reader = await edge.join({
      session: "seen",
      token: await edge.token({ sub: "rita", sessions: ["seen"], scope: "session:read" }),
    });
    await reader.take("welcome");
    const options = await operator(edge, ["seen", "absent"]);
    const { info, participants, files } = await edge.admin().describeSession({ sessionId: "seen" }, options);
    assert.deepEqual([info?.participants, info?.headSeq], [2, 2n]);
    assert.deepEqual(
      participants.map(({ userId, clientId, displayName }) => [userId, clientId, displayName]),
      [["alice", "laptop", "Alice"]],
    );
    assert.deepEqual(
      files.map(({ filePath, version, content }) => [filePath, version, content]),
      [
        ["a.ts", 1, ""],
        ["b.ts", 1, ""],
      ],
    );
    const { sessions } = await edge.admin().listSessions({ prefix: "se" }, options);
    assert.deepEqual(
      sessions.map(({ sessionId, participants: streams }) => [sessionId, streams]),
      [["seen", 2]],
    );
    const absent = await refusal(edge.admin().describeSession({ sessionId: "absent" }, options));
    assert.equal(absent.reason, "SESSION_NOT_FOUND");
    alice.cut();
    reader.cut();
  });

  test("EG20 an answer counts the streams that were ended, in one session and in all", async () => {
    const streams: { readonly as: string; readonly session: string; readonly stream: Stream }[] = [];
    for (const session of ["one", "two", "three"]) {
      for (const as of ["alice", "bob"]) {
        const stream = await edge.join({ as, session });
        await stream.take("welcome");
        streams.push({ as, session, stream });
      }
    }
    const endedOf = async (isMeant: (one: (typeof streams)[number]) => boolean, reason: string) => {
      const meant = streams.filter(isMeant);
      for (const { stream } of meant) assert.equal((await stream.ended).fault?.reason, reason);
      return meant.length;
    };
    const options = await operator(edge);
    const one = await edge.admin().disconnect({ sessionId: "one", userId: "alice" }, options);
    const ofOne = await endedOf(({ as, session }) => as === "alice" && session === "one", "DISCONNECTED");
    assert.deepEqual([one.streams, ofOne], [1, 1]);
    const all = await edge.admin().disconnect({ userId: "bob" }, options);
    assert.deepEqual([all.streams, await endedOf(({ as }) => as === "bob", "DISCONNECTED")], [3, 3]);
    const revoked = await edge.admin().revokeTokens({ userId: "alice" }, options);
    const ofAlice = await endedOf(({ as, session }) => as === "alice" && session !== "one", "TOKEN_REVOKED");
    assert.deepEqual([revoked.streams, ofAlice], [2, 2]);
    const nobody = await edge.admin().disconnect({ sessionId: "one", userId: "alice" }, options);
    assert.equal(nobody.streams, 0);
    const absent = await refusal(edge.admin().disconnect({ sessionId: "absent", userId: "alice" }, options));
    assert.equal(absent.reason, "SESSION_NOT_FOUND");
  });

  test("EG63 a session whose object does not answer keeps no other one's streams", async () => {
    const lost = new BatonError("LOG_UNAVAILABLE");
    const log = (whole: SessionLog): SessionLog => ({
      ...whole,
      describe: async (id) => {
        if (id === "lost") throw lost;
        return await whole.describe(id);
      },
      // As where each session has its log in its own object.
      list: async () => {
        throw lost;
      },
    });
    const some = await startEdge({ log });
    try {
      some.objects.object("lost");
      const streams = await Promise.all(["a", "z"].map((session) => some.join({ as: "bob", session })));
      for (const stream of streams) await stream.take("welcome");
      const { streams: ended } = await some.admin().disconnect({ userId: "bob" }, await operator(some));
      assert.equal(ended, 2);
      for (const stream of streams) assert.equal((await stream.ended).fault?.reason, "DISCONNECTED");
    } finally {
      await some.stop();
    }
  });

  test("EG20 all sessions are asked, however many there are", async () => {
    const client = { userId: "somebody", clientId: "c" };
    for (let n = 0; n < 150; n++) await edge.log.claim(`many/${String(n).padStart(3, "0")}`, client, "e");
    const dave = await edge.join({ as: "dave", session: "zoo" });
    await dave.take("welcome");
    assert.equal((await edge.admin().disconnect({ userId: "dave" }, await operator(edge))).streams, 1);
    assert.equal((await dave.ended).fault?.reason, "DISCONNECTED");
  });

  test("EG20 readers of a session that no log has yet can be disconnected", async () => {
    const token = await edge.token({ sub: "rita", sessions: ["unwritten"], scope: "session:read" });
    const reader = await edge.join({ session: "unwritten", token });
    await reader.take("welcome");
    const meant = { sessionId: "unwritten", userId: "rita" };
    assert.equal((await edge.admin().disconnect(meant, await operator(edge))).streams, 1);
    assert.equal((await reader.ended).fault?.reason, "DISCONNECTED");
  });
});

describe("a session's log that is read at a gateway", () => {
  for (const [method, name] of [
    ["read", "ReadLog"],
    ["latestSnapshot", "GetSnapshot"],
  ] as const) {
    for (const ends of ["TOKEN_REVOKED", "TOKEN_EXPIRED"] as const) {
      test(`EG21 ${name} ends ${ends} in the middle, whatever it waits for`, async () => {
        const { log, asked, release, begin } = holdLog(method);
        const edge = await startEdge({ log: () => log, evicts: () => false });
        try {
          const token = await edge.token({ tokenId: "t", ttlSeconds: 60 });
          const options = { headers: { authorization: `Bearer ${token}` } };
          const messages = [1n, 2n].map((clientSeq) => ({ clientSeq, payload: custom }));
          await edge.client().publish({ sessionId: "demo", clientId: "c", messages }, options);
          begin();
          const call =
            name === "ReadLog"
              ? drain(edge.client().readLog({ sessionId: "demo" }, options))
              : drain(edge.client().getSnapshot({ sessionId: "demo", atSeq: 1n }, options));
          const refused = refusal(call);
          await asked;
          if (ends === "TOKEN_REVOKED") await edge.log.revoke({ kind: "token", tokenId: "t" });
          edge.advance(ends === "TOKEN_REVOKED" ? 2_100 : 95_000);
          assert.equal((await refused).reason, ends);
        } finally {
          release();
          await edge.stop();
        }
      });
    }
  }
});
