import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import {
  FaultSchema,
  PresenceUpdate_Status as Status,
  TokenStatus_State as TokenState,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { edit } from "../harness.ts";
import { refusal } from "../operators.ts";
import { type EdgeSetup, startEdge, type TestEdge } from "./harness.ts";

const custom = { case: "custom", value: { type: "t", data: new Uint8Array(8) } } as const;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A gateway, and objects that leave memory before each event that they may. */
function useEdge(setup: EdgeSetup = {}): () => TestEdge {
  let edge: TestEdge;
  before(async () => {
    edge = await startEdge(setup);
  });
  after(async () => {
    await edge.stop();
    assert.deepEqual(edge.objects.afterlife, []);
  });
  return () => edge;
}

describe("a session behind gateways", () => {
  const edge = useEdge();

  test("EG1 what one says another is told, although the object leaves memory between any two events", async () => {
    const alice = await edge().join({ as: "alice" });
    assert.equal((await alice.take("welcome")).headSeq, 0n);
    const bob = await edge().join({ as: "bob", kind: "grpc-web" });
    await bob.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    assert.equal((await bob.takeMessage("edit")).seq, 1n);
    const before = edge().objects.evictions;
    bob.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 1n });
    assert.equal((await bob.take("ack")).seq, 2n);
    assert.equal((await alice.take("edit")).changes[0]?.insert, " two");
    assert.ok(edge().objects.evictions > before);
    assert.equal((await alice.takeMessage("presence", ({ userId }) => userId === "bob")).userId, "bob");
    alice.finish();
    assert.equal((await alice.ended).error, undefined);
    bob.cut();
  });

  test("EG1 JSON clients and split clients are served too", async () => {
    const json = await edge().join({ as: "json", session: "forms", kind: "connect-json" });
    await json.take("welcome");
    const headers = { authorization: `Bearer ${await edge().token({ sub: "split", sessions: ["forms"] })}` };
    const client = edge().client("connect");
    const abort = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { payload } of client.subscribe({ sessionId: "forms" }, { headers, signal: abort.signal })) {
        seen.push(payload.case ?? "");
        if (payload.case === "welcome") {
          const { resumeToken } = payload.value;
          const messages = [{ clientSeq: 1n, payload: custom }];
          const { replies } = await client.publish({ sessionId: "forms", resumeToken, messages }, { headers });
          assert.deepEqual(
            replies.map(({ payload: { case: kind } }) => kind),
            ["ack"],
          );
        }
        if (payload.case === "ack") break;
      }
    })();
    assert.equal((await json.takeMessage("custom")).userId, "split");
    await reading;
    assert.ok(seen.includes("ack"));
    abort.abort();
    json.cut();
  });

  test("EG5 readers of a session that no log has yet keep its epoch", async () => {
    const read = { sub: "reader", sessions: ["young"], scope: "session:read" };
    const reader = await edge().join({ as: "reader", session: "young", token: await edge().token(read) });
    const { epoch } = await reader.take("welcome");
    const writer = await edge().join({ as: "writer", session: "young" });
    assert.equal((await writer.take("welcome")).epoch, epoch);
    writer.send(custom, { clientSeq: 1n });
    await writer.take("ack");
    assert.equal((await reader.takeMessage("custom")).seq, 1n);
    reader.cut();
    writer.cut();
  });

  test("EG6 whoever is away is told to have left after the grace, and not sooner, by an alarm", async () => {
    const alice = await edge().join({ as: "alice", session: "left" });
    await alice.take("welcome");
    const bob = await edge().join({ as: "bob", session: "left" });
    await bob.take("welcome");
    await alice.takeMessage("presence", ({ userId }) => userId === "bob");
    bob.cut();
    await pause(100);
    alice.received.length = 0;
    edge().advance(14_000);
    await pause(60);
    assert.deepEqual(
      alice.received.filter(({ payload }) => payload.case === "presence"),
      [],
    );
    edge().advance(1_500);
    const left = await alice.takeMessage("presence", ({ userId }) => userId === "bob");
    assert.equal(left.payload.case === "presence" && left.payload.value.status, Status.LEFT);
    alice.cut();
  });

  test("EG6 who comes back within the grace was never away", async () => {
    const alice = await edge().join({ as: "alice", session: "back" });
    await alice.take("welcome");
    const bob = await edge().join({ as: "bob", session: "back", clientId: "b" });
    const { resumeToken } = await bob.take("welcome");
    await alice.takeMessage("presence", ({ userId }) => userId === "bob");
    bob.cut();
    await pause(50);
    const again = await edge().join({ as: "bob", session: "back", resumeToken });
    await again.take("welcome");
    edge().advance(16_000);
    await pause(60);
    const told = alice.received.filter(({ payload, userId }) => payload.case === "presence" && userId === "bob");
    assert.deepEqual(told, []);
    alice.cut();
    again.cut();
  });

  test("EG6 who says nothing for a minute is shown as idle, by an alarm", async () => {
    const alice = await edge().join({ as: "alice", session: "idle" });
    await alice.take("welcome");
    const bob = await edge().join({ as: "bob", session: "idle" });
    await bob.take("welcome");
    edge().advance(61_000);
    const idle = await alice.takeMessage(
      "presence",
      ({ payload }) => payload.case === "presence" && payload.value.status === Status.IDLE,
    );
    assert.equal(idle.userId, "bob");
    alice.cut();
    bob.cut();
  });

  test("EG15 a session that nobody has touched for its age is deleted, and one that somebody has stays", async () => {
    const { limits } = edge();
    for (const session of ["old", "young-still"]) {
      const alice = await edge().join({ as: "alice", session });
      await alice.take("welcome");
      alice.send(custom, { clientSeq: 1n });
      await alice.take("ack");
      alice.cut();
      await alice.ended;
    }
    await pause(50);
    edge().advance(limits.logAgeMs - 60_000);
    const again = await edge().join({ as: "bob", session: "young-still" });
    await again.take("welcome");
    again.cut();
    await again.ended;
    await pause(50);
    assert.notEqual(await edge().log.describe("old"), undefined);
    edge().advance(120_000);
    await pause(100);
    assert.equal(await edge().log.describe("old"), undefined);
    assert.equal((await edge().log.describe("young-still"))?.head, 1);
  });

  test("EG11 a heartbeat right behind the Join is answered behind the Welcome", async () => {
    for (let n = 1n; n <= 5n; n++) {
      const alice = await edge().join({ as: "alice", session: "early" });
      alice.send({ case: "heartbeat", value: { sentAt: n } });
      alice.finish();
      assert.equal((await alice.ended).error, undefined);
      const kinds = alice.received.filter(
        ({ payload: { case: kind, value } }) => kind === "welcome" || (kind === "heartbeat" && value.echo === n),
      );
      assert.deepEqual(
        kinds.map(({ payload }) => payload.case),
        ["welcome", "heartbeat"],
      );
    }
  });

  test("EG12 whoever may not enter wakes no object", async () => {
    const before = edge().objects.events;
    const mallory = await edge().join({ session: "theirs", token: await edge().token({ sessions: ["mine"] }) });
    assert.equal((await mallory.ended).fault?.reason, "SESSION_FORBIDDEN");
    assert.equal(edge().objects.events, before);
  });

  test("EG7 the newer stream of a client ends the older one, on whichever gateways they are", async () => {
    const older = await edge().join({ as: "alice", session: "twice", clientId: "a" });
    await older.take("welcome");
    const newer = await edge().join({ as: "alice", session: "twice", clientId: "a" });
    await newer.take("welcome");
    assert.equal((await older.ended).fault?.reason, "SUPERSEDED");
    newer.cut();
  });

  test("EG8 a message of a stream that the object knows nothing of ends it, and its client comes back", async () => {
    const messages: Uint8Array[] = [];
    const closed = Promise.withResolvers<void>();
    const link = await edge().objects.open("strange", {
      message: (bytes) => void messages.push(bytes),
      closed: () => closed.resolve(),
    });
    link.send(new Uint8Array([2, 1, 123]));
    await closed.promise;
    assert.equal(messages.length, 1);
    const [end] = messages;
    assert.match(new TextDecoder().decode(end?.subarray(2)), /"reason":"DRAIN"/);
  });

  test("EG8 what is of another version ends a stream that is known, on either side, and its client comes back", async () => {
    const alice = await edge().join({ as: "alice", session: "newer-object" });
    await alice.take("welcome");
    edge()
      .objects.object("newer-object")
      .say(new Uint8Array([2, 6, 1]));
    assert.equal((await alice.ended).fault?.reason, "DRAIN");
    const messages: Uint8Array[] = [];
    const closed = Promise.withResolvers<void>();
    const link = await edge().objects.open("newer-gateway", {
      message: (bytes) => void messages.push(bytes),
      closed: () => closed.resolve(),
    });
    // A hello that says nothing, and one that cannot be read, are none.
    for (const bytes of [
      [1, 1],
      [1, 1, 123],
    ])
      link.send(new Uint8Array(bytes));
    await closed.promise;
    assert.match(new TextDecoder().decode(messages.at(-1)?.subarray(2)), /"reason":"DRAIN"/);
  });
});

describe("tokens at a gateway", () => {
  const edge = useEdge({ limits: { heartbeatMs: 400 } });

  test("EG9 a token is rotated under a stream, and what it allows holds at once", async () => {
    const read = { sub: "alice", sessions: ["demo"], scope: "session:read" };
    const alice = await edge().join({ token: await edge().token(read) });
    await alice.take("welcome");
    alice.send(custom, { clientSeq: 1n });
    assert.equal((await alice.take("fault")).reason, "SCOPE_MISSING");
    alice.send({ case: "tokenRotation", value: { token: await edge().token() } });
    assert.equal((await alice.take("tokenStatus")).state, TokenState.ACCEPTED);
    alice.send(custom, { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
    alice.cut();
  });

  test("EG9 a token that is refused leaves the one in force, and so does one that names itself a voucher", async () => {
    const alice = await edge().join({ session: "refused" });
    await alice.take("welcome");
    const principal = { userId: "alice", scope: "session:admin", sessions: ["*"], issuedAtMs: 0, expiresAtMs: 9e15 };
    for (const token of ["nonsense", JSON.stringify({ principal })]) {
      alice.send({ case: "tokenRotation", value: { token } });
      assert.equal((await alice.take("tokenStatus")).state, TokenState.REJECTED);
    }
    alice.send(custom, { clientSeq: 1n });
    await alice.take("ack");
    alice.cut();
  });

  test("EG10 a revoked token ends its streams within seconds", async () => {
    const alice = await edge().join({
      session: "revoked",
      token: await edge().token({ sessions: ["revoked"], tokenId: "t1" }),
    });
    await alice.take("welcome");
    await edge().log.revoke({ kind: "token", tokenId: "t1" });
    edge().advance(2_100);
    assert.equal((await alice.ended).fault?.reason, "TOKEN_REVOKED");
  });

  test("EG10 the token in force counts: one that a stream was rotated to may be revoked", async () => {
    const sessions = ["rotated"];
    const alice = await edge().join({ session: "rotated", token: await edge().token({ sessions }) });
    await alice.take("welcome");
    const token = await edge().token({ sessions, tokenId: "t2" });
    alice.send({ case: "tokenRotation", value: { token } });
    await alice.take("tokenStatus");
    await edge().log.revoke({ kind: "token", tokenId: "t2" });
    edge().advance(2_100);
    assert.equal((await alice.ended).fault?.reason, "TOKEN_REVOKED");
  });

  test("EG9 a rotation by Publish is verified by the gateway too", async () => {
    const token = await edge().token({ sub: "carol", sessions: ["by-publish"] });
    const headers = { authorization: `Bearer ${token}` };
    const rotate = (next: string) => [{ payload: { case: "tokenRotation", value: { token: next } } as const }];
    const states = [];
    for (const next of [await edge().token({ sub: "carol", sessions: ["by-publish"] }), "nonsense"]) {
      const request = { sessionId: "by-publish", clientId: "c", messages: rotate(next) };
      const { replies } = await edge().client().publish(request, { headers });
      for (const { payload } of replies) if (payload.case === "tokenStatus") states.push(payload.value.state);
    }
    assert.deepEqual(states, [TokenState.ACCEPTED, TokenState.REJECTED]);
  });

  test("EG12 a Publish stops where its messages come too fast", async () => {
    const token = await edge().token({ sub: "dave", sessions: ["fast-publish"] });
    const headers = { authorization: `Bearer ${token}` };
    const messages = Array.from({ length: 130 }, (_, index) => ({ clientSeq: BigInt(index + 1), payload: custom }));
    const request = { sessionId: "fast-publish", clientId: "d", messages };
    const { replies } = await edge().client().publish(request, { headers });
    const last = replies.at(-1)?.payload;
    assert.equal(last?.case === "fault" && last.value.reason, "RATE_LIMITED");
    assert.ok(replies.length > 50 && replies.slice(0, -1).every(({ payload }) => payload.case === "ack"));
  });

  test("EG10 an operator disconnects streams wherever they are", async () => {
    const admin = await edge().token({ sub: "op", sessions: ["*"], scope: "session:admin" });
    const alice = await edge().join({ session: "cut" });
    await alice.take("welcome");
    const headers = { authorization: `Bearer ${admin}` };
    await alice.takeMessage("heartbeat");
    alice.send(custom, { clientSeq: 1n });
    await alice.take("ack");
    await edge().admin().disconnect({ sessionId: "cut", userId: "alice" }, { headers });
    assert.equal((await alice.ended).fault?.reason, "DISCONNECTED");
    const bob = await edge().join({ as: "bob", session: "cut" });
    await bob.take("welcome");
    await edge().admin().disconnect({ userId: "bob" }, { headers });
    assert.equal((await bob.ended).fault?.reason, "DISCONNECTED");
  });

  test("EG11 heartbeats do not reach the object, whoever sends them", async () => {
    const alice = await edge().join({ session: "quiet" });
    await alice.take("welcome");
    await pause(50);
    const before = edge().objects.events;
    for (let n = 1; n <= 5; n++) {
      alice.send({ case: "heartbeat", value: { sentAt: BigInt(n) } });
      await alice.takeMessage(
        "heartbeat",
        ({ payload }) => payload.case === "heartbeat" && payload.value.echo === BigInt(n),
      );
    }
    // The relay's own.
    await alice.takeMessage("heartbeat", ({ payload }) => payload.case === "heartbeat" && payload.value.sentAt > 9n);
    await alice.takeMessage("heartbeat", ({ payload }) => payload.case === "heartbeat" && payload.value.echo === 0n);
    assert.equal(edge().objects.events, before);
    // What was received is told to the object once.
    alice.send(custom, { clientSeq: 1n });
    await alice.take("ack");
    await pause(50);
    const told = edge().objects.events;
    for (let n = 11; n <= 13; n++) {
      alice.send({ case: "heartbeat", value: { sentAt: BigInt(n), receivedSeq: 1n } });
      await alice.takeMessage(
        "heartbeat",
        ({ payload }) => payload.case === "heartbeat" && payload.value.echo === BigInt(n),
      );
    }
    await pause(50);
    assert.equal(edge().objects.events, told + 1);
    alice.send({ case: "heartbeat", value: { receivedSeq: 77n } });
    assert.equal((await alice.take("fault")).reason, "HEARTBEAT_INVALID");
    alice.cut();
  });

  test("EG11 a client that is silent is sent away by its gateway", async () => {
    const alice = await edge().join({ session: "silent" });
    await alice.take("welcome");
    edge().advance(9_000);
    assert.equal((await alice.ended).fault?.reason, "CLIENT_SILENT");
  });

  test("EG42 a split client that says nothing by Publish for ten heartbeats is sent away, and one that does stays", async () => {
    const client = edge().client();
    const headers = { authorization: `Bearer ${await edge().token({ sub: "split", sessions: ["calls"] })}` };
    let calls = 0;
    await assert.rejects(
      async () => {
        let resumeToken = "";
        for await (const { payload } of client.subscribe({ sessionId: "calls" }, { headers })) {
          if (payload.case === "welcome") resumeToken = payload.value.resumeToken;
          if (payload.case !== "welcome" && payload.case !== "heartbeat") continue;
          // Each time more than half of what it may be silent.
          if (resumeToken !== "" && calls < 4) {
            calls += 1;
            edge().advance(2_500);
            await client.publish({ sessionId: "calls", resumeToken, messages: [] }, { headers });
          } else if (resumeToken !== "") {
            edge().advance(4_100);
          }
        }
      },
      (error: unknown) => {
        const [fault] = ConnectError.from(error).findDetails(FaultSchema);
        return fault?.reason === "CLIENT_SILENT";
      },
    );
    assert.equal(calls, 4);
  });

  test("EG12 who sends too fast is refused before the object hears of it", async () => {
    const alice = await edge().join({ session: "fast" });
    await alice.take("welcome");
    for (let n = 1; n <= 130; n++) alice.send(custom, { clientSeq: BigInt(n) });
    assert.equal((await alice.take("fault")).reason, "RATE_LIMITED");
    alice.cut();
  });
});

describe("what one user takes up at a gateway", () => {
  const edge = useEdge({ limits: { userSessions: 2, roomIdleMs: 5_000 } });

  test("EG28 the sessions that a user is in are counted, by streams and by calls, and forgotten", async () => {
    const token = await edge().token({ sub: "carol", sessions: ["*"] });
    const join = (session: string) => edge().join({ as: "carol", session, token });
    const headers = { authorization: `Bearer ${token}` };
    const publish = (session: string) =>
      refusal(edge().client().publish({ sessionId: session, clientId: "c" }, { headers }));
    const first = await join("one");
    await first.take("welcome");
    await edge().client().publish({ sessionId: "two", clientId: "c" }, { headers });
    const before = edge().objects.events;
    const third = await join("three");
    assert.equal((await third.ended).fault?.reason, "USER_LIMIT");
    assert.equal((await publish("four")).reason, "USER_LIMIT");
    assert.equal(edge().objects.events, before);
    const again = await join("two");
    await again.take("welcome");
    again.cut();
    await again.ended;
    await pause(50);
    edge().advance(5_100);
    const later = await join("three");
    await later.take("welcome");
    const other = await edge().join({ as: "dan", session: "one" });
    await other.take("welcome");
    for (const stream of [first, later, other]) stream.cut();
  });
});

describe("a token's end at a gateway", () => {
  // Nobody is silent for as long as a token lives.
  const edge = useEdge({ limits: { heartbeatMs: 600_000 } });

  test("EG9 a newer JWT on a Publish is the one in force for the Subscribe stream, also at its gateway", async () => {
    const token = (ttlSeconds: number) => edge().token({ sub: "split", sessions: ["renew"], ttlSeconds });
    const bearer = async (ttlSeconds: number) => ({ headers: { authorization: `Bearer ${await token(ttlSeconds)}` } });
    const client = edge().client();
    const abort = new AbortController();
    let resume = "";
    const first = await bearer(60);
    const ended = (async () => {
      for await (const { payload } of client.subscribe({ sessionId: "renew" }, { ...first, signal: abort.signal })) {
        if (payload.case === "welcome") {
          edge().advance(2_000);
          resume = payload.value.resumeToken;
          await client.publish({ sessionId: "renew", resumeToken: resume, messages: [] }, await bearer(400));
        }
        if (payload.case === "tokenStatus" && payload.value.state === TokenState.ACCEPTED) {
          edge().advance(120_000);
          await pause(200);
          const messages = [{ clientSeq: 1n, payload: custom }];
          await client.publish({ sessionId: "renew", resumeToken: resume, messages }, await bearer(400));
        }
        if (payload.case === "ack") return "lives";
      }
      return "ended";
    })();
    assert.equal(await ended, "lives");
    abort.abort();
  });

  test("EG9 each token's coming end is told", async () => {
    const token = () => edge().token({ sessions: ["expiring"], ttlSeconds: 100 });
    const alice = await edge().join({ session: "expiring", token: await token() });
    await alice.take("welcome");
    for (let round = 0; round < 2; round++) {
      edge().advance(75_000);
      assert.equal((await alice.take("tokenStatus")).state, TokenState.EXPIRING);
      alice.send({ case: "tokenRotation", value: { token: await token() } });
      assert.equal((await alice.take("tokenStatus")).state, TokenState.ACCEPTED);
    }
    alice.cut();
  });

  test("EG9 a stream lives on the rotated token, and ends with it", async () => {
    const alice = await edge().join({
      session: "ends",
      token: await edge().token({ sessions: ["ends"], ttlSeconds: 60 }),
    });
    await alice.take("welcome");
    alice.send({
      case: "tokenRotation",
      value: { token: await edge().token({ sessions: ["ends"], ttlSeconds: 200 }) },
    });
    await alice.take("tokenStatus");
    edge().advance(100_000);
    await pause(150);
    alice.send({ case: "heartbeat", value: { sentAt: 1n } });
    await alice.takeMessage("heartbeat", ({ payload }) => payload.case === "heartbeat" && payload.value.echo === 1n);
    edge().advance(131_000);
    assert.equal((await alice.ended).fault?.reason, "TOKEN_EXPIRED");
  });
});
