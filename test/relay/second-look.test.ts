/** What a close reading of the rules against the code found once: each of these failed before it was mended. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import {
  FaultSchema,
  Join_History as History,
  PresenceUpdate_Status as Status,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { answerToNothing } from "../wire/raw.ts";
import { edit, startRelay, type TestRelay } from "./harness.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay();
});
after(() => relay.stop());

let sessions = 0;
const newSession = () => `second-${++sessions}`;
const custom = { case: "custom", value: { type: "t" } } as const;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

const headersOf = async (options: Parameters<TestRelay["token"]>[0]) => ({
  authorization: `Bearer ${await relay.token(options)}`,
});

async function reasonOf(call: Promise<unknown>): Promise<string | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    return ConnectError.from(error).findDetails(FaultSchema)[0]?.reason;
  }
}

describe("a busy session", () => {
  test("ST52 takes people in, and lets go those who have said all, without ever being quiet", async () => {
    const memory = createMemoryLog(Date.now);
    const slow = await startRelay({
      limits: { messagesPerSecond: 1e6, messagesBurst: 1e6 },
      log: {
        ...memory,
        append: async (session, batch) => {
          await pause(15);
          return await memory.append(session, batch);
        },
      },
    });
    try {
      const busy = await Promise.all([0, 1, 2].map((n) => slow.join({ as: `busy ${n}` })));
      const counts = busy.map(() => 0);
      const load = setInterval(() => {
        for (const [index, stream] of busy.entries()) {
          const next = (counts[index] ?? 0) + 1;
          counts[index] = next;
          stream.send(custom, { clientSeq: BigInt(next) });
        }
      }, 2);
      try {
        // Under load from before its join on: never quiet since.
        await busy[0]?.take("ack");
        const late = await slow.join({ as: "late" });
        await late.take("welcome");
        late.send(custom, { clientSeq: 1n });
        late.finish();
        assert.equal((await late.ended).error, undefined);
        assert.ok(late.kinds().includes("ack"));
      } finally {
        clearInterval(load);
      }
    } finally {
      await slow.stop();
    }
  });
});

test("ST11 the newest claim stays, also where an older one is told later", async () => {
  const memory = createMemoryLog(Date.now);
  let claims = 0;
  const late = await startRelay({
    log: {
      ...memory,
      claim: async (session, client, epoch) => {
        const claim = await memory.claim(session, client, epoch);
        if (++claims === 1) await pause(300);
        return claim;
      },
    },
  });
  try {
    const first = await late.join({ clientId: "a" });
    while (claims < 1) await pause(5);
    const second = await late.join({ clientId: "a" });
    await second.take("welcome");
    assert.equal((await first.ended).fault?.reason, "SUPERSEDED");
    second.send(custom, { clientSeq: 1n });
    assert.equal((await second.take("ack")).seq, 1n);
  } finally {
    await late.stop();
  }
});

describe("what a client had sent itself", () => {
  test("RS10 FULL on a log that was trimmed tells it whole, to a client that holds nothing", async () => {
    const trimming = await startRelay({
      limits: { snapshotRecords: 5, logRecords: 10, messagesPerSecond: 1e6, messagesBurst: 1e6 },
    });
    try {
      const alice = await trimming.join({ clientId: "a" });
      for (let n = 1; n <= 40; n++) {
        alice.send(edit("a.ts", n - 1, 0, 0, "x"), { clientSeq: BigInt(n) });
        await alice.take("ack");
      }
      await pause(100);
      const kept = await trimming.log.describe("demo");
      assert.ok(kept !== undefined && kept.first > 1);
      const again = await trimming.join({ clientId: "a", history: History.FULL });
      await again.take("snapshot");
      for (let seq = kept.first; seq <= 40; seq++) assert.equal((await again.takeMessage("edit")).seq, BigInt(seq));
      assert.equal(again.kinds().includes("ack"), false);
    } finally {
      await trimming.stop();
    }
  });

  test("ST53 its Acks have the time that the others are told", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    const bob = await relay.join({ session, as: "bob" });
    await bob.take("welcome");
    alice.send({ case: "comment", value: { commentId: "c", text: "x" } }, { clientSeq: 1n });
    const ack = await alice.takeMessage("ack");
    assert.equal(ack.timestamp, (await bob.takeMessage("comment")).timestamp);
    relay.advance(1000);
    alice.send({ case: "comment", value: { commentId: "c", text: "x" } }, { clientSeq: 1n });
    assert.equal((await alice.takeMessage("ack")).timestamp, ack.timestamp);
  });
});

describe("Publish", () => {
  test("ST5 nothing behind its first fault is taken, logged or told", async () => {
    const session = newSession();
    const headers = await headersOf({ sessions: [session] });
    const watcher = await relay.join({ session, as: "watcher" });
    await watcher.take("welcome");
    const { replies } = await relay.client().publish(
      {
        sessionId: session,
        clientId: "c",
        messages: [
          { clientSeq: 1n, payload: custom },
          { clientSeq: 3n, payload: custom },
          { clientSeq: 2n, payload: custom },
          { payload: { case: "cursor", value: { filePath: "a.ts" } } },
        ],
      },
      { headers },
    );
    assert.deepEqual(
      replies.map(({ payload }) => payload.case),
      ["ack", "fault"],
    );
    watcher.send(custom, { clientSeq: 1n });
    assert.equal((await watcher.take("ack")).seq, 2n);
    assert.equal(watcher.kinds().includes("cursor"), false);
  });

  test("LM5 by client_id counts against the user's rate, the call itself too, whatever clients it names", async () => {
    const strict = await startRelay({ limits: { messagesPerSecond: 1, messagesBurst: 4 } });
    try {
      const headers = { authorization: `Bearer ${await strict.token()}` };
      const outcomes: string[] = [];
      for (let n = 1; n <= 5; n++) {
        const reason = await reasonOf(
          strict
            .client()
            .publish(
              { sessionId: "demo", clientId: `c${n}`, messages: [{ clientSeq: 1n, payload: custom }] },
              { headers },
            ),
        );
        outcomes.push(reason ?? "taken");
      }
      assert.deepEqual(outcomes.slice(0, 2), ["taken", "taken"]);
      assert.ok(
        outcomes.slice(2).every((outcome) => outcome === "RATE_LIMITED"),
        `${outcomes}`,
      );
    } finally {
      await strict.stop();
    }
  });

  test("TL8 may do what both its own token and its stream's allow", async () => {
    const session = newSession();
    const stream = await relay.join({ session });
    const { resumeToken } = await stream.take("welcome");
    const headers = await headersOf({ sessions: [session], scope: "session:read", nowMs: relay.now() - 5_000 });
    const { replies } = await relay
      .client()
      .publish({ sessionId: session, resumeToken, messages: [{ clientSeq: 1n, payload: custom }] }, { headers });
    const [reply] = replies;
    assert.equal(reply?.payload.case === "fault" && reply.payload.value.reason, "SCOPE_MISSING");
    stream.send(custom, { clientSeq: 1n });
    assert.equal((await stream.take("ack")).seq, 1n);
  });
});

describe("places and rights", () => {
  test("LM2 the number of writers holds for those who come together", async () => {
    const small = await startRelay({ limits: { writers: 2 } });
    try {
      const streams = await Promise.all(Array.from({ length: 10 }, (_, n) => small.join({ as: `w${n}` })));
      const ends = await Promise.all(streams.map((stream) => Promise.race([stream.ended, pause(700)])));
      const reasons = ends.map((end) => end?.fault?.reason ?? "in");
      assert.equal(reasons.filter((reason) => reason === "in").length, 2);
      assert.equal(reasons.filter((reason) => reason === "SESSION_FULL").length, 8);
    } finally {
      await small.stop();
    }
  });

  test("TL9 a writer who comes back to read only is told that the scope is missing, and stays", async () => {
    const session = newSession();
    const writer = await relay.join({ session, clientId: "a" });
    await writer.take("welcome");
    const token = await relay.token({ sessions: [session], scope: "session:read" });
    const reader = await relay.join({ session, clientId: "a", token });
    await reader.take("welcome");
    reader.send(custom, { clientSeq: 1n });
    assert.equal((await reader.take("fault")).reason, "SCOPE_MISSING");
    const again = await relay.join({ session, as: "watcher" });
    await again.take("welcome");
    again.send(custom, { clientSeq: 1n });
    assert.equal((await reader.takeMessage("custom")).seq, 1n);
  });

  test("PR8 who said that it leaves, and goes on, is there again", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    const bob = await relay.join({ session, as: "bob" });
    await bob.take("welcome");
    const statusOfBob = async () => {
      const { payload } = await alice.takeMessage("presence", ({ userId }) => userId === "bob");
      return payload.case === "presence" ? payload.value.status : undefined;
    };
    assert.equal(await statusOfBob(), Status.JOINED);
    bob.send({ case: "presence", value: { status: Status.LEFT } });
    assert.equal(await statusOfBob(), Status.LEFT);
    bob.send({ case: "presence", value: { status: Status.ACTIVE } });
    assert.equal(await statusOfBob(), Status.JOINED);
  });

  test("RD4 reading the log waits for no one without a token, and not for ever for a request", async () => {
    const quick = await startRelay({ limits: { firstMessageMs: 100 } });
    try {
      const open = (headers: Record<string, string>) =>
        answerToNothing(quick.url, "/codereview.v1.CodeReviewService/ReadLog", {
          "content-type": "application/connect+json",
          ...headers,
        });
      assert.match(await open({}), /TOKEN_INVALID|unauthenticated/);
      assert.match(await open({ authorization: `Bearer ${await quick.token()}` }), /deadline_exceeded/);
    } finally {
      await quick.stop();
    }
  });
});
