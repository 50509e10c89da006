import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  Join_History as History,
  Welcome_Outcome as Outcome,
  type SessionMessage,
  PresenceUpdate_Status as Status,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../../src/session/reasons.ts";
import { pause, until } from "../../../trial/until.ts";
import { createRandom } from "../../support/random.ts";
import { edit, type Stream } from "../harness.ts";
import { type EdgeSetup, startEdge, type TestEdge } from "./harness.ts";

/** Objects that hold two readers, and replicas that hold three. */
function useTree(setup: EdgeSetup = {}): () => TestEdge {
  let edge: TestEdge;
  before(async () => {
    edge = await startEdge({ ...setup, limits: { objectReaders: 2, replicaReaders: 3, ...setup.limits } });
  });
  after(async () => {
    await edge.stop();
    assert.deepEqual(edge.objects.afterlife, []);
  });
  return () => edge;
}

const readerToken = (edge: TestEdge, session: string, sub: string) =>
  edge.token({ sub, sessions: [session], scope: "session:read" });

async function joinReaders(edge: TestEdge, session: string, count: number, from = 0): Promise<Stream[]> {
  const readers: Stream[] = [];
  for (let n = from; n < from + count; n++) {
    const token = await readerToken(edge, session, `r${n}`);
    const reader = await edge.join({ as: `r${n}`, session, token });
    await reader.take("welcome");
    readers.push(reader);
  }
  return readers;
}

async function say(writer: Stream, from: number, to: number): Promise<void> {
  for (let seq = from; seq <= to; seq++) {
    writer.send({ case: "custom", value: { type: "t", data: new Uint8Array([seq]) } }, { clientSeq: BigInt(seq) });
    await writer.take("ack");
  }
}

/** The seqs of the records that a stream has brought, once it has brought this one. */
async function seqsOf(reader: Stream, last: number): Promise<bigint[]> {
  const logged = () => reader.received.filter(({ seq }) => seq > 0n).map(({ seq }) => seq);
  await until(`record ${last}`, () => logged().includes(BigInt(last)));
  return logged();
}

const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, index) => BigInt(from + index));

const streamsAt = (edge: TestEdge, session: string) =>
  Object.fromEntries(
    edge.objects.all
      .filter(({ name }) => name === session || name.startsWith(`${session}~`))
      .map(({ name, streams }) => [name, streams]),
  );

describe("a session with more readers than its object holds", () => {
  const edge = useTree();

  test("RP1 those beyond go to replicas, and everybody gets each record once, in order", async () => {
    const alice = await edge().join({ session: "hot" });
    await alice.take("welcome");
    const readers = await joinReaders(edge(), "hot", 12);
    await say(alice, 1, 5);
    for (const reader of readers) assert.deepEqual(await seqsOf(reader, 5), upTo(5));
    const { hot, ...replicas } = streamsAt(edge(), "hot");
    assert.equal(hot, 3);
    assert.equal(
      Object.values(replicas).reduce((sum, streams) => sum + streams, 0),
      10,
    );
    for (const stream of [alice, ...readers]) stream.cut();
  });
});

describe("a tree of replicas", () => {
  // In memory, an object knows whom it has sent where.
  const edge = useTree({ evicts: () => false });

  test("RP2 a replica is full before the next begins, and where all are full they have replicas of their own", async () => {
    const alice = await edge().join({ session: "tree" });
    await alice.take("welcome");
    const readers = await joinReaders(edge(), "tree", 55);
    await say(alice, 1, 3);
    for (const reader of readers) assert.deepEqual(await seqsOf(reader, 3), upTo(3));
    const full = Array.from({ length: 16 }, (_, index) => [`tree~weur~${index}`, 3]);
    assert.deepEqual(streamsAt(edge(), "tree"), {
      tree: 3,
      ...Object.fromEntries(full),
      "tree~weur~8.0": 3,
      "tree~weur~8.1": 2,
    });
    for (const stream of [alice, ...readers]) stream.cut();
  });
});

describe("what readers at replicas see", () => {
  const edge = useTree();

  test("RP3 who joins late has the text, who resumes has what was missed, and who asks has the whole log", async () => {
    const alice = await edge().join({ session: "late" });
    await alice.take("welcome");
    const [first, ...others] = await joinReaders(edge(), "late", 6);
    alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    await alice.take("ack");
    const token = await readerToken(edge(), "late", "resuming");
    const leaving = await edge().join({ session: "late", token });
    const { resumeToken, clientId } = await leaving.take("welcome");
    const snapshot = await leaving.take("snapshot");
    assert.deepEqual(
      snapshot.files.map(({ content }) => content),
      ["one"],
    );
    leaving.cut();
    for (let version = 1; version <= 8; version++) {
      alice.send(edit("a.ts", version, 3, 3, "x"), { clientSeq: BigInt(version + 1) });
      await alice.take("ack");
    }
    const resumed = await edge().join({ session: "late", token, resumeToken, clientId, lastSeq: 1n });
    assert.equal((await resumed.take("welcome")).outcome, Outcome.RESUMED);
    assert.deepEqual(await seqsOf(resumed, 9), upTo(9, 2));
    const full = await edge().join({
      session: "late",
      token: await readerToken(edge(), "late", "full"),
      history: History.FULL,
    });
    assert.deepEqual(await seqsOf(full, 9), upTo(9));
    assert.ok(edge().objects.object("late~weur~1").streams > 0);
    for (const stream of [alice, first, ...others, resumed, full]) stream?.cut();
  });

  test("RP3 readers of a session that no log has yet are told its epoch at replicas too", async () => {
    const readers: Stream[] = [];
    const epochs = new Set<string>();
    for (let n = 0; n < 6; n++) {
      const token = await readerToken(edge(), "unlogged", `r${n}`);
      const reader = await edge().join({ session: "unlogged", token });
      epochs.add((await reader.take("welcome")).epoch);
      readers.push(reader);
    }
    const alice = await edge().join({ session: "unlogged" });
    epochs.add((await alice.take("welcome")).epoch);
    assert.equal(epochs.size, 1);
    await say(alice, 1, 2);
    for (const reader of readers) assert.deepEqual(await seqsOf(reader, 2), upTo(2));
    for (const stream of [alice, ...readers]) stream.cut();
  });

  test("RP4 those who write are shown as they are at the session itself, and readers are counted over all objects", async () => {
    const alice = await edge().join({ as: "alice", session: "shown" });
    await alice.take("welcome");
    const readers = await joinReaders(edge(), "shown", 5);
    const watching = readers[4];
    assert.ok(watching !== undefined && edge().objects.object("shown~weur~0").streams > 0);
    const bob = await edge().join({ as: "bob", session: "shown" });
    await bob.take("welcome");
    const isOf = (userId: string, status: Status) => (message: SessionMessage) =>
      message.userId === userId && message.payload.case === "presence" && message.payload.value.status === status;
    await watching.takeMessage("presence", isOf("bob", Status.JOINED));
    bob.send({ case: "cursor", value: { filePath: "a.ts", line: 7 } });
    await watching.takeMessage("cursor", ({ userId }) => userId === "bob");
    bob.send({ case: "custom", value: { type: "typing", ephemeral: true } });
    await watching.takeMessage("custom", ({ userId }) => userId === "bob");
    const [late] = await joinReaders(edge(), "shown", 0, 5);
    assert.equal(late, undefined);
    const token = await readerToken(edge(), "shown", "late");
    const joined = await edge().join({ session: "shown", token });
    const { participants, readerCount } = await joined.take("welcome");
    assert.deepEqual(participants.map(({ userId, cursor }) => [userId, cursor?.line]).sort(), [
      ["alice", undefined],
      ["bob", 7],
    ]);
    assert.equal(readerCount, 6);
    bob.cut();
    await pause(100);
    edge().advance(16_000);
    await watching.takeMessage("presence", isOf("bob", Status.LEFT));
    edge().advance(60_000);
    await watching.takeMessage("presence", isOf("alice", Status.IDLE));
    for (const stream of [alice, ...readers, joined]) stream.cut();
  });

  test("RP5 a reader at a replica whose new token lets it write is sent away with DRAIN, and comes back to the session", async () => {
    const alice = await edge().join({ session: "raise" });
    await alice.take("welcome");
    const readers = await joinReaders(edge(), "raise", 3);
    const [, , raised] = readers;
    assert.ok(raised !== undefined);
    const token = await edge().token({ sub: "r2", sessions: ["raise"], nowMs: edge().now() + 1_000 });
    raised.send({ case: "tokenRotation", value: { token } });
    assert.equal((await raised.ended).fault?.reason, "DRAIN");
    const again = await edge().join({ session: "raise", token });
    await again.take("welcome");
    await say(again, 1, 1);
    for (const reader of readers.slice(0, 2)) assert.deepEqual(await seqsOf(reader, 1), upTo(1));
    for (const stream of [alice, ...readers, again]) stream.cut();
  });

  test("RP6 an operator's disconnect, a revocation and a deletion reach the streams at replicas", async () => {
    const headers = {
      authorization: `Bearer ${await edge().token({ sub: "op", sessions: ["*"], scope: "session:admin" })}`,
    };
    const alice = await edge().join({ session: "ops" });
    await alice.take("welcome");
    await say(alice, 1, 1);
    const readers = await joinReaders(edge(), "ops", 8);
    // Until replicas have told how many they hold.
    await pause(2_500);
    const { info } = await edge().admin().describeSession({ sessionId: "ops" }, { headers });
    assert.equal(info?.participants, 9);
    const disconnected = await edge().admin().disconnect({ sessionId: "ops", userId: "r7" }, { headers });
    assert.equal(disconnected.streams, 1);
    assert.equal((await readers[7]?.ended)?.fault?.reason, "DISCONNECTED");
    const revoked = await edge().admin().revokeTokens({ userId: "r6" }, { headers });
    assert.equal(revoked.streams, 1);
    assert.equal((await readers[6]?.ended)?.fault?.reason, "TOKEN_REVOKED");
    await edge().admin().deleteSession({ sessionId: "ops" }, { headers });
    for (const reader of readers.slice(0, 6)) assert.equal((await reader.ended).fault?.reason, "EPOCH_CHANGED");
  });
});

describe("a bound on all readers of a session", () => {
  const edge = useTree({ limits: { readers: 6 } });

  test("RP7 counts those at replicas", async () => {
    const readers = await joinReaders(edge(), "full", 6);
    const refused = await edge().join({ session: "full", token: await readerToken(edge(), "full", "more") });
    assert.equal((await refused.ended).fault?.reason, "SESSION_FULL");
    readers[5]?.cut();
    await pause(2_500);
    const [again] = await joinReaders(edge(), "full", 1, 9);
    for (const stream of [...readers, again]) stream?.cut();
  });
});

describe("replicas that come and go", () => {
  const edge = useTree();

  test("RP8 an idle session lets all its objects leave memory, and the next message wakes each of them once", async () => {
    const alice = await edge().join({ session: "sleep" });
    await alice.take("welcome");
    const readers = await joinReaders(edge(), "sleep", 8);
    await say(alice, 1, 3);
    for (const reader of readers) await seqsOf(reader, 3);
    const objects = edge().objects.all.filter(({ name }) => name.startsWith("sleep"));
    assert.equal(objects.length, 3);
    for (let round = 0; round < 2; round++) {
      await until("all may leave", () => objects.every(({ mayLeave }) => mayLeave), 8_000);
      for (const object of objects) object.evict();
      assert.deepEqual(
        objects.map(({ isInMemory }) => isInMemory),
        [false, false, false],
      );
      await pause(1_500);
      assert.ok(objects.every(({ isInMemory }) => !isInMemory));
      const seq = 4 + round;
      alice.send({ case: "custom", value: { type: "t" } }, { clientSeq: BigInt(seq) });
      for (const reader of readers) assert.deepEqual(await seqsOf(reader, seq), upTo(seq));
      const shown = readers[7]?.received.filter(({ payload }) => payload.case === "presence");
      assert.deepEqual(shown, []);
    }
    for (const stream of [alice, ...readers]) stream.cut();
  });

  test("RP9 a deploy that cuts every link, and a replica that dies alone, cost nobody a record", async () => {
    const session = "crash";
    const alice = await edge().join({ session });
    const { resumeToken: aliceToken, clientId } = await alice.take("welcome");
    const readers = await joinReaders(edge(), session, 8);
    await say(alice, 1, 3);
    for (const reader of readers) await seqsOf(reader, 3);
    const ended = new Set<Stream>();
    for (const reader of readers) void reader.ended.then(() => ended.add(reader));
    const dying = edge().objects.object(`${session}~weur~0`);
    const { streams } = dying;
    dying.crash();
    await say(alice, 4, 5);
    await until("those of the one that died are told", () => ended.size === streams, 5_000);
    for (const reader of readers) if (!ended.has(reader)) assert.deepEqual(await seqsOf(reader, 5), upTo(5));
    edge().objects.crash();
    for (const reader of [alice, ...readers]) assert.equal((await reader.ended).fault?.reason, "LOG_UNAVAILABLE");
    const back = await edge().join({ session, resumeToken: aliceToken, clientId, lastSeq: 5n });
    await back.take("welcome");
    const again = await joinReaders(edge(), session, 8);
    await say(back, 6, 8);
    for (const reader of again) assert.deepEqual(await seqsOf(reader, 8), upTo(8));
    for (const stream of [back, ...again]) stream.cut();
  });
});

describe("calls between objects that fail", () => {
  for (const seed of [1, 2, 3]) {
    test(`RP10 before they are made or behind it, and nobody misses a record or gets one twice (seed ${seed})`, async () => {
      const random = createRandom(seed);
      let failed = 0;
      const fail = (share: number) => {
        if (random() >= share) return;
        failed += 1;
        throw new BatonError("LOG_UNAVAILABLE");
      };
      const edge = await startEdge({
        limits: { objectReaders: 2, replicaReaders: 3 },
        evicts: () => random() < 0.5,
        async calls(call) {
          fail(0.25);
          const answered = await call();
          fail(0.25);
          return answered;
        },
      });
      try {
        const alice = await edge.join({ session: "failing" });
        await alice.take("welcome");
        const readers: Stream[] = [];
        while (readers.length < 8) {
          const token = await readerToken(edge, "failing", `r${readers.length}`);
          const reader = await edge.join({ session: "failing", token });
          // One whose replica could not reach the object above it comes back.
          const isIn = await reader.take("welcome").then(
            () => true,
            () => false,
          );
          if (isIn) readers.push(reader);
        }
        for (let seq = 1; seq <= 40; seq++) {
          await say(alice, seq, seq);
          if (random() < 0.5) await pause(30);
        }
        for (const reader of readers) assert.deepEqual(await seqsOf(reader, 40), upTo(40));
        assert.ok(failed > 3);
        for (const stream of [alice, ...readers]) stream.cut();
      } finally {
        await edge.stop();
      }
    });
  }

  test("RP10 what a session's object had not handed on when it died, it hands on when somebody comes back", async () => {
    let isHeld = false;
    const edge = await startEdge({
      limits: { objectReaders: 2, replicaReaders: 3 },
      evicts: () => false,
      calls: (call) => (isHeld ? new Promise(() => undefined) : call()),
    });
    try {
      const alice = await edge.join({ session: "held" });
      await alice.take("welcome");
      const readers = await joinReaders(edge, "held", 5);
      await say(alice, 1, 2);
      const atReplica = readers.slice(2);
      for (const reader of atReplica) await seqsOf(reader, 2);
      isHeld = true;
      await say(alice, 3, 3);
      edge.objects.object("held").crash();
      await alice.ended;
      isHeld = false;
      for (const reader of atReplica) assert.equal(reader.received.filter(({ seq }) => seq === 3n).length, 0);
      const bob = await edge.join({ as: "bob", session: "held" });
      await bob.take("welcome");
      for (const reader of atReplica) assert.deepEqual(await seqsOf(reader, 3), upTo(3));
      for (const stream of [bob, ...readers]) stream.cut();
    } finally {
      await edge.stop();
    }
  });

  test("RP10 a reader whose replica cannot reach its session is sent to come back", async () => {
    const edge = await startEdge({
      limits: { objectReaders: 2, replicaReaders: 3 },
      calls: async () => {
        throw new BatonError("LOG_UNAVAILABLE");
      },
    });
    try {
      await joinReaders(edge, "apart", 2);
      const reader = await edge.join({ session: "apart", token: await readerToken(edge, "apart", "r2") });
      assert.equal((await reader.ended).fault?.reason, "LOG_UNAVAILABLE");
    } finally {
      await edge.stop();
    }
  });
});
