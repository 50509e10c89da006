import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Join_History as History } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { edit, type Payload, type Stream } from "../relay/harness.ts";
import { refusal, until } from "../relay/operators.ts";
import { deaf, roomOf, say, startPair } from "./pair.ts";

const custom = { case: "custom", value: { type: "t" } } as const;

/** Two instances, of which the second hears nothing of the first; alice's stream is there, and she may publish here. */
async function startDeaf(use: (pair: Pair, call: Call) => Promise<void>) {
  let calls = 0;
  let beforeRead: () => void = () => undefined;
  const farLog = (log: SessionLog): SessionLog => ({
    ...deaf(log),
    read(...args) {
      beforeRead();
      return log.read(...args);
    },
    describe(...args) {
      calls += 1;
      return log.describe(...args);
    },
  });
  const pair = await startPair({ farLog, isBusSilent: true });
  try {
    const alice = await pair.here.join({ clientId: "a" });
    const { resumeToken } = await alice.take("welcome");
    const bob = await pair.there.join({ as: "bob", clientId: "b" });
    await bob.take("welcome");
    const headers = { authorization: `Bearer ${await pair.there.token()}` };
    const publish = async (...messages: readonly { clientSeq: bigint; payload: Payload }[]) => {
      const before = calls;
      const request = { sessionId: "demo", resumeToken, messages: [...messages] };
      const { replies } = await pair.there.client().publish(request, { headers });
      const told = replies.map(({ payload }) => (payload.case === "fault" ? payload.value.reason : payload.case));
      return { told, looks: calls - before };
    };
    const onRead = (what: () => void) => {
      beforeRead = what;
    };
    await use(pair, { alice, publish, onRead });
  } finally {
    await pair.stop();
  }
}

type Pair = Awaited<ReturnType<typeof startPair>>;
interface Call {
  readonly alice: Stream;
  publish(
    ...messages: readonly { clientSeq: bigint; payload: Payload }[]
  ): Promise<{ readonly told: readonly unknown[]; readonly looks: number }>;
  /** What happens before each read of the log there. */
  onRead(what: () => void): void;
}

describe("Publish at an instance that has not heard of what another did", () => {
  test("SL5 takes a client's next number, also where the one before it went by another instance", () =>
    startDeaf(async (_pair, { alice, publish }) => {
      await say(alice, 1);
      const two = [2n, 3n].map((clientSeq) => ({ clientSeq, payload: custom }));
      assert.deepEqual(await publish(...two), { told: ["ack", "ack"], looks: 1 });
      assert.deepEqual(
        await publish({ clientSeq: 4n, payload: custom }),
        { told: ["ack"], looks: 0 },
        "nothing is ahead",
      );
      assert.deepEqual(await publish({ clientSeq: 6n, payload: custom }), { told: ["OUT_OF_ORDER"], looks: 1 });
      const more = [5n, 6n].map((clientSeq) => ({ clientSeq, payload: custom }));
      assert.deepEqual(await publish(...more), { told: ["ack", "ack"], looks: 0 }, "the one is next to the other");
      await say(alice, 7);
      const making = [8n, 9n].map((clientSeq) => ({ clientSeq, payload: edit(`${clientSeq}.ts`, 0, 0, 0, "x") }));
      assert.deepEqual(await publish(...making), { told: ["ack", "ack"], looks: 1 });
    }));

  test("SL5 looks for nobody who says more than the rate allows", () =>
    startDeaf(async (_pair, { publish }) => {
      const told = new Map<unknown, number>();
      for (let n = 0; n < 150; n++) {
        const { told: answers, looks } = await publish({ clientSeq: 9n, payload: custom });
        told.set(answers[0], (told.get(answers[0]) ?? 0) + looks);
      }
      assert.deepEqual(
        [...told],
        [
          ["OUT_OF_ORDER", 100],
          ["RATE_LIMITED", 0],
        ],
      );
    }));

  test("SL5 takes an edit of a version, and a comment on a file, that went by another instance", () =>
    startDeaf(async (pair, { alice, publish }) => {
      alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
      await alice.take("ack");
      const comment: Payload = {
        case: "comment",
        value: { commentId: "c", filePath: "a.ts", lineNumber: 1, text: "?" },
      };
      assert.deepEqual(await publish({ clientSeq: 2n, payload: comment }), { told: ["ack"], looks: 1 });
      const carol = await pair.here.join({ as: "carol", clientId: "c" });
      await carol.take("welcome");
      carol.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 1n });
      await carol.take("ack");
      carol.send(edit("b.ts", 0, 0, 0, "b"), { clientSeq: 2n });
      await carol.take("ack");
      const other: Payload = { ...comment, value: { commentId: "d", filePath: "b.ts", lineNumber: 1, text: "?" } };
      const before = { told: ["ack"], looks: 1 };
      assert.deepEqual(await publish({ clientSeq: 3n, payload: other }), before);
      carol.send(edit("a.ts", 2, 7, 7, "."), { clientSeq: 3n });
      await carol.take("ack");
      const payload = edit("a.ts", 3, 8, 8, " three");
      assert.deepEqual(await publish({ clientSeq: 4n, payload }), { told: ["ack"], looks: 1 });
      const ahead = { clientSeq: 5n, payload: edit("a.ts", 9, 0, 0, "x") };
      assert.deepEqual(await publish(ahead), { told: ["VERSION_AHEAD"], looks: 1 });
    }));

  test("SL6 under an older claim is SUPERSEDED, whatever it says, and the token in force for the newer stream stays", async () => {
    const pair = await startPair();
    try {
      const older = await pair.here.join({ clientId: "a" });
      const { resumeToken } = await older.take("welcome");
      const newer = await pair.there.join({ clientId: "a" });
      const { resumeToken: newToken } = await newer.take("welcome");
      assert.equal((await older.ended).fault?.reason, "SUPERSEDED");
      const full = await pair.here.token();
      const less = await pair.here.token({ scope: "session:comment" });
      newer.send({ case: "tokenRotation", value: { token: less } });
      await newer.take("tokenStatus");
      const publish = (token: string, payload: Payload, clientSeq = 0n) =>
        pair.here
          .client()
          .publish(
            { sessionId: "demo", resumeToken: token, messages: [{ clientSeq, payload }] },
            { headers: { authorization: `Bearer ${full}` } },
          );
      const cursor: Payload = { case: "cursor", value: { filePath: "a.ts", line: 1 } };
      for (const payload of [cursor, custom, { case: "heartbeat", value: { sentAt: 1n } }] as const) {
        assert.equal((await refusal(publish(resumeToken, payload, 1n))).reason, "SUPERSEDED");
      }
      const { replies } = await publish(newToken, edit("a.ts", 0, 0, 0, "x"), 1n);
      assert.deepEqual(
        replies.map(({ payload }) => (payload.case === "fault" ? payload.value.reason : payload.case)),
        ["SCOPE_MISSING"],
      );
    } finally {
      await pair.stop();
    }
  });
});

describe("where a session's log begins", () => {
  test("SL7 is not learned from what is said of another history", async () => {
    const pair = await startPair();
    try {
      const alice = await pair.here.join({ clientId: "a" });
      const { epoch } = await alice.take("welcome");
      for (let n = 1; n <= 3; n++) await say(alice, n);
      const said = { kind: "snapshot", seq: 7_000, first: 5_001 } as const;
      const room = roomOf(pair.here);
      pair.bus.member().publish("demo", { ...said, epoch: "of the one that was deleted" });
      assert.equal(room.first, 1);
      const bob = await pair.here.join({ as: "bob", clientId: "b", history: History.FULL });
      assert.equal((await bob.takeMessage("custom")).seq, 1n);
      pair.bus.member().publish("demo", { ...said, epoch });
      assert.equal(room.first, 5_001, "of this one it is");
    } finally {
      await pair.stop();
    }
  });

  test("SL7 is where the store says, also where a trim did nothing since others had dropped its snapshot", async () => {
    const memory = createMemoryLog(Date.now);
    let trims = 0;
    const log: SessionLog = {
      ...memory,
      async trim(sessionId, epoch, throughSeq) {
        trims += 1;
        await memory.dropSnapshot(sessionId, epoch, throughSeq);
        await memory.trim(sessionId, epoch, throughSeq);
      },
    };
    const limits = { snapshotRecords: 5, logRecords: 10, ringBytes: 1_000 };
    const pair = await startPair({ limits, log });
    try {
      const alice = await pair.here.join({ clientId: "a" });
      await alice.take("welcome");
      for (let n = 1; n <= 30; n++) await say(alice, n);
      await until(() => trims > 0);
      const bob = await pair.here.join({ as: "bob", clientId: "b", history: History.FULL });
      assert.equal((await bob.takeMessage("custom")).seq, 1n);
      assert.equal(roomOf(pair.here).first, 1);
    } finally {
      await pair.stop();
    }
  });
});

describe("GetSnapshot at an instance that has not heard of what another did", () => {
  const read = async ({ there }: Pair, atSeq = 0n) => {
    const headers = { authorization: `Bearer ${await there.token({ sub: "rita", scope: "session:read" })}` };
    const parts = [];
    for await (const part of there.client().getSnapshot({ sessionId: "demo", atSeq }, { headers })) parts.push(part);
    return parts.flatMap(({ files }) => files.map(({ content }) => content)).join();
  };

  test("SL8 tells what the log has", () =>
    startDeaf(async (pair, { alice }) => {
      alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
      await alice.take("ack");
      assert.equal(await read(pair), "one");
      alice.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 2n });
      await alice.take("ack");
      assert.equal(await read(pair, 1n), "one");
      assert.equal(await read(pair), "one two");
    }));

  test("SL8 tells nothing where its room ends before it has come there", () =>
    startDeaf(async (pair, { alice, onRead }) => {
      alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
      await alice.take("ack");
      onRead(() => pair.there.relay.rooms.present("demo")?.fail(new BatonError("INTERNAL")));
      const failed = await read(pair).catch((error: unknown) => ConnectError.from(error).code);
      assert.equal(failed, Code.Internal);
      onRead(() => undefined);
      assert.equal(await read(pair), "one");
    }));

  test("SL8 tells nothing of a session that was deleted, also where another has its name", () =>
    startDeaf(async (pair, { alice }) => {
      alice.send(edit("a.ts", 0, 0, 0, "secret"), { clientSeq: 1n });
      await alice.take("ack");
      assert.equal(await read(pair), "secret");
      await pair.log.delete("demo");
      roomOf(pair.here).pipeline.rang();
      await alice.ended;
      const zoe = await pair.here.join({ as: "zoe", clientId: "z" });
      await zoe.take("welcome");
      zoe.send(edit("b.ts", 0, 0, 0, "new"), { clientSeq: 1n });
      await zoe.take("ack");
      for (const atSeq of [0n, 1n]) {
        const told = await read(pair, atSeq).catch((error: unknown) => ConnectError.from(error).code);
        assert.ok(told === "new" || told === Code.Aborted, String(told));
      }
      await until(async () => (await read(pair).catch(() => "")) === "new");
    }));
});
