import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type SessionMessage,
  PresenceUpdate_Status as Status,
  TokenStatus_State as TokenState,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { typeTogether } from "../relay/edge/typing.ts";
import { edit } from "../relay/harness.ts";
import { createRandom } from "../support/random.ts";
import { missingWorkerd } from "./harness.ts";
import { startWorkerRelay, type WorkerRelay } from "./relay.ts";

const skip = missingWorkerd === "" ? false : missingWorkerd;

describe(`the relay in workerd${missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`}`, { skip }, () => {
  let relay: WorkerRelay;
  before(async () => {
    relay = await startWorkerRelay({ BATON_LIMIT_LEAVE_GRACE_MS: "300", BATON_LIMIT_HEARTBEAT_MS: "500" });
  });
  after(() => relay.stop());

  test("EG1 a session goes on in an object that was out of memory while its clients stayed connected", async () => {
    const alice = await relay.join({ as: "alice" });
    await alice.take("welcome");
    const bob = await relay.join({ as: "bob" });
    await bob.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    await bob.take("edit");
    await relay.workerd.evict();
    bob.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 1n });
    assert.equal((await bob.take("ack")).seq, 2n);
    assert.equal((await alice.take("edit")).changes[0]?.insert, " two");
    alice.finish();
    assert.equal((await alice.ended).error, undefined);
  });

  test("EG2 three people type over three carriages, and the object is evicted in between", async () => {
    const random = createRandom(5);
    let evictions = 0;
    await typeTogether({
      url: relay.url,
      session: "evicted",
      kind: "connect-h1",
      lines: 20,
      random,
      carriages: ["bidi", "split", "socket"],
      async between(typed) {
        if (typed % 10 !== 0) return;
        await relay.workerd.evict();
        evictions += 1;
      },
    });
    assert.ok(evictions > 3);
  });

  test("EG3 the process is killed while they type, and started again", async () => {
    const random = createRandom(6);
    const { resumed } = await typeTogether({
      url: relay.url,
      session: "killed",
      kind: "connect-h1",
      lines: 20,
      random,
      carriages: ["bidi", "split", "socket"],
      async between(typed) {
        if (typed % 20 === 0) await relay.workerd.restart();
      },
    });
    assert.ok(resumed >= 3, `${resumed} resumed`);
  });

  test("EG6 whoever vanishes is told to have left, by an alarm of the object", async () => {
    const alice = await relay.join({ as: "alice", session: "vanish" });
    await alice.take("welcome");
    const bob = await relay.join({ as: "bob", session: "vanish" });
    await bob.take("welcome");
    bob.cut();
    const isLeft = ({ payload, userId }: SessionMessage) =>
      userId === "bob" && payload.case === "presence" && payload.value.status === Status.LEFT;
    await alice.takeMessage("presence", isLeft);
    alice.cut();
  });

  test("EG6 whoever vanishes while the object is out of memory is told to have left too", async () => {
    const alice = await relay.join({ as: "alice", session: "asleep" });
    await alice.take("welcome");
    const bob = await relay.join({ as: "bob", session: "asleep" });
    await bob.take("welcome");
    await relay.workerd.evict();
    bob.cut();
    const isLeft = ({ payload, userId }: SessionMessage) =>
      userId === "bob" && payload.case === "presence" && payload.value.status === Status.LEFT;
    await alice.takeMessage("presence", isLeft);
    alice.cut();
  });

  test("EG6 whoever vanishes from a session that was deleted under people is told to have left too", async () => {
    const session = "reborn";
    const alice = await relay.join({ as: "alice", session });
    await alice.take("welcome");
    const bob = await relay.join({ as: "bob", session });
    await bob.take("welcome");
    bob.cut();
    // The alarm that tells of bob is set, and goes with the session.
    await new Promise<void>((resolve) => setTimeout(resolve, 100));
    const token = await relay.token({ sub: "operator", sessions: ["*"], scope: "session:admin" });
    await relay.admin().deleteSession({ sessionId: session }, { headers: { authorization: `Bearer ${token}` } });
    assert.equal((await alice.ended).fault?.reason, "EPOCH_CHANGED");
    const again = await relay.join({ as: "alice", session });
    await again.take("welcome");
    const carol = await relay.join({ as: "carol", session });
    await carol.take("welcome");
    carol.cut();
    const isLeft = ({ payload, userId }: SessionMessage) =>
      userId === "carol" && payload.case === "presence" && payload.value.status === Status.LEFT;
    await again.takeMessage("presence", isLeft);
    again.cut();
  });

  test("EG40 what is said right behind the Join is taken in its turn by an object that is only just made", async () => {
    const alice = await relay.join({ as: "alice", session: "early" });
    alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    alice.finish();
    await alice.take("welcome");
    assert.equal((await alice.take("ack")).seq, 1n);
    assert.equal((await alice.ended).error, undefined);
  });

  test("EG45 a link keeps the longest names that there can be", async () => {
    const long = (length: number) => '"☃'.repeat(length / 2);
    const sub = long(256);
    const session = "s".repeat(128);
    const token = await relay.token({ sub, sessions: [session], tokenId: long(256) });
    const alice = await relay.join({ as: sub, session, token, clientId: "c".repeat(64) });
    await alice.take("welcome");
    alice.send({ case: "presence", value: { displayName: long(128) } });
    alice.send({ case: "cursor", value: { filePath: long(512), line: 1, column: 1 } });
    alice.send(edit(long(512), 0, 0, 0, "one"), { clientSeq: 1n });
    await alice.take("ack");
    await relay.workerd.evict();
    const { participants } = await (await relay.join({ as: "bob", session })).take("welcome");
    assert.deepEqual(
      participants.map(({ userId, displayName, cursor }) => [userId, displayName, cursor?.filePath]).slice(0, 1),
      [[sub, long(128), long(512)]],
    );
    alice.cut();
  });

  test("EG9 a token is rotated, and one that is refused leaves it", async () => {
    const token = await relay.token({ scope: "session:read" });
    const alice = await relay.join({ token });
    await alice.take("welcome");
    alice.send({ case: "tokenRotation", value: { token: await relay.token() } });
    assert.equal((await alice.take("tokenStatus")).state, TokenState.ACCEPTED);
    alice.send({ case: "tokenRotation", value: { token: `${token.slice(0, -4)}AAAA` } });
    assert.equal((await alice.take("tokenStatus")).state, TokenState.REJECTED);
    alice.cut();
  });

  test("EG10 a revoked token ends its streams, and an operator disconnects others and deletes a session", async () => {
    const headers = {
      authorization: `Bearer ${await relay.token({ sub: "op", sessions: ["*"], scope: "session:admin" })}`,
    };
    const alice = await relay.join({ session: "ops", token: await relay.token({ sessions: ["ops"], tokenId: "t1" }) });
    await alice.take("welcome");
    alice.send({ case: "custom", value: { type: "t" } }, { clientSeq: 1n });
    await alice.take("ack");
    const bob = await relay.join({ as: "bob", session: "ops" });
    await bob.take("welcome");
    const carol = await relay.join({ as: "carol", session: "ops" });
    const { epoch } = await carol.take("welcome");
    await relay.admin().revokeTokens({ tokenId: "t1" }, { headers });
    assert.equal((await alice.ended).fault?.reason, "TOKEN_REVOKED");
    await relay.admin().disconnect({ sessionId: "ops", userId: "bob" }, { headers });
    assert.equal((await bob.ended).fault?.reason, "DISCONNECTED");
    const { sessions } = await relay.admin().listSessions({ prefix: "ops" }, { headers });
    assert.deepEqual(
      sessions.map(({ sessionId }) => sessionId),
      ["ops"],
    );
    await relay.admin().deleteSession({ sessionId: "ops" }, { headers });
    assert.equal((await carol.ended).fault?.reason, "EPOCH_CHANGED");
    const again = await relay.join({ as: "carol", session: "ops" });
    assert.notEqual((await again.take("welcome")).epoch, epoch);
    again.cut();
  });

  test("EG4 native gRPC is refused by a status that its clients read", async () => {
    const path = "/codereview.v1.CodeReviewService/CollaborativeSession";
    const response = await fetch(`${relay.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/grpc" },
    });
    assert.equal(response.headers.get("grpc-status"), "12");
  });
});
