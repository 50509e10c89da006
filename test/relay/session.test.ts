import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  Fault_Action as Action,
  FaultSchema,
  Join_History as History,
  Welcome_Outcome as Outcome,
  PresenceUpdate_Status as Status,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit, startRelay, type TestRelay } from "./harness.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay();
});
after(() => relay.stop());

let sessions = 0;
/** A session of its own for each test. */
const newSession = () => `session-${++sessions}`;

describe("a session over the wire", () => {
  test("ST1 the first frame is a Heartbeat, then Welcome, then the Snapshot", async () => {
    const alice = await relay.join({ session: newSession() });
    await alice.takeMessage("snapshot");
    assert.deepEqual(alice.kinds().slice(0, 2), ["heartbeat", "welcome"]);
    const welcome = await alice.take("welcome");
    assert.equal(welcome.outcome, Outcome.NEW);
    assert.equal(welcome.headSeq, 0n);
    assert.notEqual(welcome.epoch, "");
    assert.deepEqual(
      welcome.participants.map(({ userId }) => userId),
      ["alice"],
    );
    alice.finish();
    assert.equal((await alice.ended).error, undefined);
  });

  test("ST2 two clients see one order; each is told of its own message by an Ack at its place", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    const bob = await relay.join({ session, as: "bob", kind: "grpc-web" });
    await bob.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "hello"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    const seen = await bob.takeMessage("edit");
    assert.deepEqual([seen.seq, seen.userId, seen.clientSeq], [1n, "alice", 1n]);
    bob.send(edit("a.ts", 1, 5, 5, " bob"), { clientSeq: 1n });
    alice.send(edit("a.ts", 1, 5, 5, " alice"), { clientSeq: 2n });
    const [ackOfBob, ackOfAlice] = [await bob.take("ack"), await alice.take("ack")];
    assert.deepEqual([ackOfBob.version, ackOfAlice.version].sort(), [2, 3]);
    const first = ackOfBob.seq < ackOfAlice.seq ? " bob alice" : " alice bob";
    for (const at of [0n, 3n]) {
      const parts = relay
        .client()
        .getSnapshot(
          { sessionId: session, atSeq: at },
          { headers: { authorization: `Bearer ${await relay.token({ sessions: [session] })}` } },
        );
      for await (const { files } of parts)
        assert.deepEqual(
          files.map(({ content }) => content),
          [`hello${first}`],
        );
    }
    alice.cut();
    bob.cut();
  });

  test("RS1 a late joiner gets a snapshot; FULL the log; LIVE nothing of before", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    alice.send(
      { case: "comment", value: { commentId: "c", filePath: "a.ts", lineNumber: 1, text: "why" } },
      { clientSeq: 2n },
    );
    await alice.take("ack");
    await alice.take("ack");
    const late = await relay.join({ session, as: "late" });
    const snapshot = await late.take("snapshot");
    assert.deepEqual([snapshot.seq, snapshot.files[0]?.content, snapshot.comments[0]?.userId], [2n, "one", "alice"]);
    const full = await relay.join({ session, as: "full", history: History.FULL });
    assert.deepEqual([(await full.takeMessage("edit")).seq, (await full.takeMessage("comment")).seq], [1n, 2n]);
    const live = await relay.join({ session, as: "live", history: History.LIVE });
    await live.take("welcome");
    alice.send(edit("a.ts", 1, 3, 3, "!"), { clientSeq: 3n });
    assert.equal((await live.takeMessage("edit")).seq, 3n);
    assert.equal(live.kinds().includes("snapshot"), false);
    assert.equal(full.kinds().includes("snapshot"), false);
  });

  test("ST3 JSON clients see what binary ones see", async () => {
    const session = newSession();
    const json = await relay.join({ session, as: "json", kind: "connect-json" });
    const h1 = await relay.join({ session, as: "h1", kind: "connect-h1" });
    await json.take("welcome");
    await h1.take("welcome");
    json.send(edit("a.ts", 0, 0, 0, "x\u{1F600}y"), { clientSeq: 1n });
    assert.equal((await json.take("ack")).version, 1);
    const seen = await h1.take("edit");
    assert.deepEqual(
      seen.changes.map(({ insert }) => insert),
      ["x\u{1F600}y"],
    );
    h1.send(edit("a.ts", 1, 0, 0, "z"), { clientSeq: 1n });
    assert.equal((await json.take("edit")).version, 2);
  });

  test("ST4 cursors and ephemeral messages reach the others, not their sender, and no log", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    const bob = await relay.join({ session, as: "bob" });
    await bob.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "ab\ncd"), { clientSeq: 1n });
    await bob.take("edit");
    bob.send({ case: "cursor", value: { filePath: "a.ts", line: 2, column: 1 } });
    const cursor = await alice.takeMessage("cursor");
    assert.deepEqual([cursor.userId, cursor.seq], ["bob", 0n]);
    bob.send({ case: "custom", value: { type: "wave", ephemeral: true } });
    await alice.take("custom");
    assert.equal(bob.kinds().includes("cursor"), false);
    assert.equal((await relay.log.describe(session))?.head, 1);
  });

  test("PR1 PR7 JOINED is told once; a reconnect within the grace is not seen; LEFT comes when the client says so", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    await alice.take("welcome");
    const bob = await relay.join({ session, as: "bob", clientId: "b" });
    const joined = await alice.takeMessage("presence", ({ userId }) => userId === "bob");
    assert.equal(joined.payload.case === "presence" && joined.payload.value.status, Status.JOINED);
    bob.cut();
    const again = await relay.join({ session, as: "bob", clientId: "b" });
    await again.take("welcome");
    again.send({ case: "presence", value: { status: Status.LEFT } });
    const next = await alice.takeMessage("presence", ({ userId }) => userId === "bob");
    assert.equal(next.payload.case === "presence" && next.payload.value.status, Status.LEFT);
  });

  test("OR4 what is sent again is answered with its first place, and is in the log once", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    for (let times = 0; times < 2; times++) {
      alice.send(edit("a.ts", 0, 0, 0, "x"), { clientSeq: 1n });
      assert.equal((await alice.take("ack")).seq, 1n);
    }
    assert.equal((await relay.log.describe(session))?.head, 1);
  });

  test("RS4 a client cut off resumes at its last seq: nothing is missed, nothing comes twice", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    const bob = await relay.join({ session, as: "bob", clientId: "b" });
    const { resumeToken, clientId } = await bob.take("welcome");
    assert.equal(clientId, "b");
    alice.send(edit("a.ts", 0, 0, 0, "1"), { clientSeq: 1n });
    await bob.take("edit");
    bob.cut();
    for (let n = 2; n <= 40; n++) {
      alice.send(edit("a.ts", n - 1, 0, 0, "x"), { clientSeq: BigInt(n) });
      await alice.take("ack");
    }
    const back = await relay.join({ session, as: "bob", resumeToken, lastSeq: 1n });
    assert.equal((await back.take("welcome")).outcome, Outcome.RESUMED);
    for (let n = 2; n <= 40; n++) assert.equal((await back.takeMessage("edit")).seq, BigInt(n));
    assert.equal(back.kinds().includes("snapshot"), false);
  });

  test("RS9 on a resume a client's own pending messages come as Acks, its older ones whole", async () => {
    const session = newSession();
    const alice = await relay.join({ session, clientId: "a" });
    const { resumeToken } = await alice.take("welcome");
    for (const n of [1, 2, 3]) {
      alice.send({ case: "custom", value: { type: `t${n}` } }, { clientSeq: BigInt(n) });
      await alice.take("ack");
    }
    alice.cut();
    const back = await relay.join({ session, resumeToken, lastSeq: 0n, pendingFrom: 3n });
    const welcome = await back.take("welcome");
    assert.deepEqual([welcome.outcome, welcome.lastClientSeq], [Outcome.RESUMED, 3n]);
    assert.deepEqual([(await back.takeMessage("custom")).seq, (await back.takeMessage("custom")).seq], [1n, 2n]);
    assert.equal((await back.take("ack")).clientSeq, 3n);
  });

  test("ST11 the newer stream of a client supersedes the older, which writes no more", async () => {
    const session = newSession();
    const old = await relay.join({ session, clientId: "a" });
    await old.take("welcome");
    const newer = await relay.join({ session, clientId: "a" });
    await newer.take("welcome");
    const { fault, error } = await old.ended;
    assert.equal(error?.code, Code.Aborted);
    assert.deepEqual([fault?.reason, fault?.action], ["SUPERSEDED", Action.STOP]);
    newer.send({ case: "custom", value: { type: "t" } }, { clientSeq: 1n });
    assert.equal((await newer.take("ack")).seq, 1n);
  });

  test("ST11 of many joins of one client at once the newest claim alone stays", async () => {
    const session = newSession();
    const streams = await Promise.all(Array.from({ length: 8 }, () => relay.join({ session, clientId: "a" })));
    const lives = await Promise.all(
      streams.map((stream) => Promise.race([stream.ended, new Promise((resolve) => setTimeout(resolve, 500))])),
    );
    assert.equal(lives.filter((end) => end === undefined).length, 1);
    const [live] = streams.filter((_, index) => lives[index] === undefined);
    live?.send({ case: "custom", value: {} }, { clientSeq: 1n });
    assert.equal((await live?.take("ack"))?.seq, 1n);
  });

  test("ST5 split: Subscribe down and Publish up are one session with bidi", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    await alice.take("welcome");
    const headers = { authorization: `Bearer ${await relay.token({ sub: "web", sessions: [session] })}` };
    const client = relay.client("grpc-web");
    const abort = new AbortController();
    const down = client.subscribe({ sessionId: session }, { headers, signal: abort.signal })[Symbol.asyncIterator]();
    let resumeToken = "";
    while (resumeToken === "") {
      const { payload } = (await down.next()).value ?? {};
      if (payload?.case === "welcome") resumeToken = payload.value.resumeToken;
    }
    const published = await client.publish(
      {
        sessionId: session,
        resumeToken,
        messages: [
          { clientSeq: 1n, payload: edit("w.ts", 0, 0, 0, "web") },
          { clientSeq: 3n, payload: edit("w.ts", 1, 0, 0, "gap") },
          { clientSeq: 2n, payload: edit("w.ts", 1, 0, 0, "never read: it stops at the first fault") },
        ],
      },
      { headers },
    );
    assert.deepEqual(
      published.replies.map(({ payload }) => payload.case),
      ["ack", "fault"],
    );
    assert.equal((await alice.takeMessage("edit")).userId, "web");
    for (;;) {
      const { payload } = (await down.next()).value ?? {};
      if (payload?.case === "ack") {
        assert.equal(payload.value.seq, 1n);
        break;
      }
    }
    abort.abort();
    await assert.rejects(
      relay.client().publish({ sessionId: session, resumeToken: "x", messages: [] }, { headers }),
      (error) => ConnectError.from(error).findDetails(FaultSchema)[0]?.reason === "RESUME_TOKEN_INVALID",
    );
  });

  test("ST6 a client's half-close: its acks are flushed, the stream ends OK", async () => {
    const alice = await relay.join({ session: newSession() });
    for (let n = 1; n <= 20; n++) alice.send({ case: "custom", value: { type: "t" } }, { clientSeq: BigInt(n) });
    alice.finish();
    assert.equal((await alice.ended).error, undefined);
    assert.equal(alice.kinds().filter((kind) => kind === "ack").length, 20);
  });
});
