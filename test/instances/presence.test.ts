import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RosterMessage } from "../../src/durable/session-bus.ts";
import { PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { Stream } from "../relay/harness.ts";
import { until } from "../relay/operators.ts";
import { nameOf } from "../session/support.ts";
import { roomOf, startPair } from "./pair.ts";

/** What a stream was told of others, as "bob JOINED". */
const told = (stream: Stream) =>
  stream.received.flatMap(({ payload, userId }) =>
    payload.case === "presence" ? [`${userId} ${nameOf(Status, payload.value.status)}`] : [],
  );

/** Resolves when a stream has been told all that was sent to it before. */
async function heard(stream: Stream): Promise<void> {
  stream.send({ case: "heartbeat", value: { sentAt: 7n } });
  await stream.takeMessage("heartbeat", ({ payload }) => payload.case === "heartbeat" && payload.value.echo === 7n);
}

/** Resolves when a stream has been told this of a user. */
async function isTold(stream: Stream, of: string, status: Status): Promise<void> {
  await stream.takeMessage(
    "presence",
    ({ userId, payload }) => userId === of && payload.case === "presence" && payload.value.status === status,
  );
}

const names = (participants: readonly { readonly userId: string }[]) => participants.map(({ userId }) => userId).sort();

describe("who is there, on two instances", () => {
  test("MI8 who joins on one is told once on the other; a Welcome there shows them, and where they are", async () => {
    const pair = await startPair({ limits: { idleMs: 10_000 } });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      alice.send({ case: "cursor", value: { filePath: "a.ts", line: 3, column: 4 } });
      alice.send({ case: "presence", value: { status: Status.ACTIVE, displayName: "Alice" } });
      await heard(alice);
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      const { participants } = await bob.take("welcome");
      assert.deepEqual(names(participants), ["alice", "bob"]);
      const shown = participants.find(({ userId }) => userId === "alice");
      assert.deepEqual([shown?.displayName, shown?.cursor?.line, shown?.cursor?.column], ["Alice", 3, 4]);
      await heard(alice);
      assert.deepEqual(told(alice), ["bob JOINED"]);
      await pair.advance(10_000);
      await isTold(alice, "bob", Status.IDLE);
      await isTold(bob, "alice", Status.IDLE);
      bob.send({ case: "presence", value: { status: Status.LEFT } });
      await isTold(alice, "bob", Status.LEFT);
      assert.deepEqual(told(bob), []);
    } finally {
      await pair.stop();
    }
  });

  test("MI8 cursors of those on the other instance are in the next Welcome", async () => {
    const pair = await startPair();
    try {
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      await bob.take("welcome");
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      alice.send({ case: "cursor", value: { filePath: "a.ts", line: 9 } });
      assert.equal((await bob.take("cursor")).line, 9);
      const carol = await pair.there.join({ as: "carol", clientId: "c" });
      const { participants } = await carol.take("welcome");
      assert.equal(participants.find(({ userId }) => userId === "alice")?.cursor?.line, 9);
    } finally {
      await pair.stop();
    }
  });

  test("MI9 who comes back on the other instance was never away for anybody", async () => {
    const pair = await startPair();
    try {
      const near = await pair.here.join({ as: "near", clientId: "n" });
      await near.take("welcome");
      const far = await pair.there.join({ as: "far", clientId: "f" });
      await far.take("welcome");
      const alice = await pair.here.join({ clientId: "a" });
      const { resumeToken } = await alice.take("welcome");
      for (const stream of [near, far]) await stream.takeMessage("presence", ({ userId }) => userId === "alice");
      alice.cut();
      await until(() => roomOf(pair.here).participants.ofClient("a/alice") === undefined);
      await pair.advance(14_000);
      for (const stream of [near, far]) await heard(stream);
      const back = await pair.there.join({ resumeToken });
      await back.take("welcome");
      await pair.advance(14_000);
      for (const stream of [near, far, back]) await heard(stream);
      await pair.advance(14_000);
      for (const stream of [near, far]) {
        await heard(stream);
        assert.deepEqual(
          told(stream).filter((what) => what.startsWith("alice")),
          [],
        );
      }
      back.cut();
      await until(() => roomOf(pair.there).participants.ofClient("a/alice") === undefined);
      await pair.advance(15_000);
      for (const stream of [near, far]) {
        await isTold(stream, "alice", Status.LEFT);
        await heard(stream);
        assert.deepEqual(
          told(stream).filter((what) => what.startsWith("alice")),
          [],
        );
      }
    } finally {
      await pair.stop();
    }
  });

  test("MI10 those of an instance that is silent have left after 25 s, but for who came back elsewhere", async () => {
    const pair = await startPair();
    try {
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      await bob.take("welcome");
      const room = roomOf(pair.there);
      const lease = (number: number, userIds: readonly string[], isAll = true): RosterMessage => ({
        kind: "roster",
        holder: "gone",
        number,
        isAll,
        members: userIds.map((userId, index) => ({
          client: { userId, clientId: "x" },
          generation: 1_000 + index,
          displayName: userId,
          status: Status.ACTIVE,
          cursor: undefined,
        })),
        left: [],
        readers: 3,
      });
      pair.bus.member().publish("demo", lease(1, ["carol", "dave"]));
      await heard(bob);
      assert.deepEqual(told(bob), ["carol JOINED", "dave JOINED"]);
      assert.equal(room.readerCount, 3);
      await pair.advance(15_000);
      await heard(bob);
      room.tell(room.roster.joined("dave", "x", 2_000, pair.there.now()));
      await pair.advance(9_999);
      await heard(bob);
      assert.deepEqual(told(bob), ["carol JOINED", "dave JOINED"]);
      await pair.advance(1);
      await isTold(bob, "carol", Status.LEFT);
      await until(() => room.readerCount === 0);
      assert.deepEqual(told(bob), ["carol JOINED", "dave JOINED"]);
    } finally {
      await pair.stop();
    }
  });

  test("MI11 what is older than what was heard of the same instance says nothing; who is not named any more has left", async () => {
    const pair = await startPair();
    try {
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      await bob.take("welcome");
      const member = (userId: string, generation: number) => ({
        client: { userId, clientId: "x" },
        generation,
        displayName: userId,
        status: Status.ACTIVE,
        cursor: undefined,
      });
      const bus = pair.bus.member();
      const say = (number: number, members: RosterMessage["members"], more: Partial<RosterMessage> = {}) =>
        bus.publish("demo", {
          kind: "roster",
          holder: "h",
          number,
          isAll: true,
          members,
          left: [],
          readers: 0,
          ...more,
        });
      say(2, [member("carol", 1_000), member("dave", 1_001)]);
      say(1, [member("erin", 1_002)]);
      say(2, []);
      say(3, [member("frank", 1_003)], { isAll: false });
      say(4, [member("dave", 1_001), member("frank", 1_003)]);
      await heard(bob);
      assert.deepEqual(told(bob), ["carol JOINED", "dave JOINED", "frank JOINED", "carol LEFT"]);
      // Another holder has the newer claim: what the first still says of that client, also that it left, is past.
      say(1, [member("dave", 2_000)], { holder: "other" });
      say(5, [member("frank", 1_003)], { left: [{ client: { userId: "dave", clientId: "x" }, generation: 1_001 }] });
      await heard(bob);
      assert.equal(told(bob).length, 4);
      say(2, [], {
        holder: "other",
        isAll: false,
        left: [{ client: { userId: "dave", clientId: "x" }, generation: 2_000 }],
      });
      say(6, [member("dave", 1_001), member("frank", 1_003)]);
      await heard(bob);
      assert.deepEqual(told(bob).slice(4), ["dave LEFT"]);
    } finally {
      await pair.stop();
    }
  });

  test("MI11 of two instances that hold a client, the one with the older claim ends its stream, also where it was not told so", async () => {
    const pair = await startPair();
    try {
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      const newer = {
        client: { userId: "alice", clientId: "a" },
        generation: 5_000,
        displayName: "A",
        status: 1,
        cursor: undefined,
      };
      const said = {
        kind: "roster",
        holder: "h",
        number: 1,
        isAll: true,
        members: [newer],
        left: [],
        readers: 0,
      } as const;
      pair.bus.member().publish("demo", said);
      assert.equal((await alice.ended).fault?.reason, "SUPERSEDED");
      assert.equal(roomOf(pair.here).roster.get("a/alice")?.stay.kind, "elsewhere");
    } finally {
      await pair.stop();
    }
  });

  test("MI12 places for writers and for readers are counted over all instances; a Welcome tells all readers", async () => {
    const pair = await startPair({ limits: { writers: 2, readers: 2 } });
    try {
      const reading = async (relay: typeof pair.here, sub: string) => ({
        as: sub,
        token: await relay.token({ sub, scope: "session:read" }),
      });
      const alice = await pair.here.join({ clientId: "a" });
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      for (const stream of [alice, bob]) await stream.take("welcome");
      for (const relay of [pair.here, pair.there]) {
        const full = await relay.join({ as: "carol", clientId: "c" });
        assert.equal((await full.ended).fault?.reason, "SESSION_FULL");
      }
      // Its own place on the other instance is free to it.
      const moved = await pair.there.join({ clientId: "a" });
      assert.equal((await moved.take("welcome")).readerCount, 0);
      const first = await pair.here.join(await reading(pair.here, "r1"));
      await first.take("welcome");
      await pair.advance(1_000);
      await until(() => roomOf(pair.there).readerCount === 1);
      const second = await pair.there.join(await reading(pair.there, "r2"));
      assert.equal((await second.take("welcome")).readerCount, 2);
      const third = await pair.there.join(await reading(pair.there, "r3"));
      assert.equal((await third.ended).fault?.reason, "SESSION_FULL");
    } finally {
      await pair.stop();
    }
  });

  test("MI15 the cursor of one who may only read is told to nobody", async () => {
    const pair = await startPair();
    try {
      const alice = await pair.here.join({ clientId: "a" });
      const bob = await pair.there.join({ as: "bob", clientId: "b" });
      const token = await pair.here.token({ sub: "rita", scope: "session:read" });
      const reader = await pair.here.join({ token });
      for (const stream of [alice, bob, reader]) await stream.take("welcome");
      reader.send({ case: "cursor", value: { filePath: "a.ts", line: 1 } });
      await heard(reader);
      reader.send({ case: "cursor", value: { filePath: "", line: 1 } });
      assert.equal((await reader.take("fault")).reason, "PATH_INVALID");
      alice.send({ case: "cursor", value: { filePath: "a.ts", line: 2 } });
      assert.equal((await bob.take("cursor")).line, 2);
      assert.equal((await reader.take("cursor")).line, 2);
      await heard(alice);
      assert.ok(!alice.kinds().includes("cursor"));
    } finally {
      await pair.stop();
    }
  });
});
