import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PresenceUpdate_Status as Status } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../../src/session/reasons.ts";
import { type EdgeSetup, startEdge, type TestEdge } from "./harness.ts";

const custom = { case: "custom", value: { type: "t", data: new Uint8Array(8) } } as const;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function withEdge(setup: EdgeSetup, run: (edge: TestEdge) => Promise<void>): Promise<void> {
  const edge = await startEdge(setup);
  try {
    await run(edge);
  } finally {
    await edge.stop();
  }
}

describe("what one client can take up at the edge", () => {
  test("EG45 a link's note has room for the longest names that there can be", async () => {
    await withEdge({}, async (edge) => {
      const long = (length: number) => '"☃'.repeat(length / 2);
      const session = "s".repeat(128);
      const sub = long(256);
      const token = await edge.token({ sub, sessions: [session], tokenId: long(256) });
      const clientId = "c".repeat(64);
      const alice = await edge.join({ as: sub, session, token, clientId });
      await alice.take("welcome");
      alice.send({ case: "presence", value: { displayName: long(128) } });
      const far = 2 ** 31 - 1;
      const place = { line: far, column: far, version: far, anchorLine: far, anchorColumn: far };
      alice.send({ case: "cursor", value: { filePath: long(512), ...place } });
      alice.send(custom, { clientSeq: 1n });
      assert.equal((await alice.take("ack")).seq, 1n);
      const before = edge.objects.evictions;
      alice.send(custom, { clientSeq: 2n });
      assert.equal((await alice.take("ack")).seq, 2n);
      assert.ok(edge.objects.evictions > before);
      const { participants } = await (await edge.join({ as: "bob", session })).take("welcome");
      assert.deepEqual(
        participants
          .map((one) => [one.userId, one.displayName, one.cursor?.filePath])
          .find(([userId]) => userId === sub),
        [sub, long(128), long(512)],
      );
    });
  });

  test("EG46 of those who went away, no more are shown than may write; the first of them have left", async () => {
    await withEdge({ limits: { writers: 3 } }, async (edge) => {
      const witness = await edge.join({ as: "witness" });
      await witness.take("welcome");
      for (let n = 1; n <= 6; n++) {
        const one = await edge.join({ as: "fickle", clientId: `c${n}` });
        await one.take("welcome");
        one.cut();
        await one.ended;
        await pause(20);
      }
      const left = () =>
        witness.received.flatMap(({ clientId, payload }) =>
          payload.case === "presence" && payload.value.status === Status.LEFT ? [clientId] : [],
        );
      while (left().length < 3) await pause(10);
      assert.deepEqual(left(), ["c1", "c2", "c3"]);
      edge.advance(15_100);
      while (left().length < 6) await pause(10);
      assert.deepEqual(left().slice(3), ["c4", "c5", "c6"]);
      witness.cut();
    });
  });

  test("EG47 a user's streams count from when they come, not from when their object is reached", async () => {
    let reached = 0;
    const reaches = async () => {
      reached += 1;
      await pause(100);
    };
    await withEdge({ limits: { userStreams: 3 }, reaches }, async (edge) => {
      const joining = Array.from({ length: 8 }, (_, n) => edge.join({ as: "many", clientId: `c${n}` }));
      const streams = await Promise.all(joining);
      const outcomes = await Promise.all(
        streams.map((stream) =>
          Promise.race([
            stream.take("welcome").then(() => "in"),
            stream.ended.then(({ fault }) => fault?.reason),
          ]).catch(() => "ended"),
        ),
      );
      assert.equal(outcomes.filter((outcome) => outcome === "in").length, 3, outcomes.join(", "));
      const ends = await Promise.all(streams.filter((_, n) => outcomes[n] !== "in").map(({ ended }) => ended));
      assert.deepEqual([...new Set(ends.map(({ fault }) => fault?.reason))], ["USER_LIMIT"]);
      assert.equal(reached, 3);
      for (const stream of streams) stream.cut();
      await Promise.all(streams.map(({ ended }) => ended));
      await pause(50);
      const again = await edge.join({ as: "many" });
      await again.take("welcome");
      again.cut();
    });
  });

  test("EG47 who goes while the object is reached leaves no link behind", async () => {
    await withEdge({ limits: { userStreams: 1 }, reaches: () => pause(100) }, async (edge) => {
      const hasty = await edge.join({ as: "hasty" });
      await hasty.takeMessage("heartbeat");
      await pause(30);
      hasty.cut();
      await hasty.ended;
      await pause(150);
      assert.equal(edge.objects.object("demo").links, 0);
      const again = await edge.join({ as: "hasty" });
      await again.take("welcome");
      again.cut();
    });
  });

  test("EG47 a stream whose object could not be reached counts no more", async () => {
    let isAway = true;
    const reaches = async () => {
      if (isAway) throw new BatonError("LOG_UNAVAILABLE");
    };
    await withEdge({ limits: { userStreams: 2 }, reaches }, async (edge) => {
      for (let n = 0; n < 4; n++) {
        const lost = await edge.join({ as: "many" });
        assert.equal((await lost.ended).fault?.reason, "LOG_UNAVAILABLE");
      }
      isAway = false;
      const alice = await edge.join({ as: "many" });
      await alice.take("welcome");
      alice.cut();
    });
  });
});
