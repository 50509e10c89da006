import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { importJWK, SignJWT } from "jose";
import { Fault_Action as Action, type Fault, FaultSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { answerToNothing, sessionPath } from "../wire/raw.ts";
import { edit, type Payload, type Stream, startRelay, type TestRelay } from "./harness.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay({ limits: { editBytes: 100 } });
});
after(() => relay.stop());

let sessions = 0;
const newSession = () => `refused-${++sessions}`;

/** A stream with a file `a.ts` of one edit, joined and quiet. */
async function joined(session = newSession(), as = "alice"): Promise<Stream> {
  const stream = await relay.join({ session, as });
  await stream.take("welcome");
  return stream;
}

async function withFile(): Promise<Stream> {
  const stream = await joined();
  stream.send(edit("a.ts", 0, 0, 0, "hello"), { clientSeq: 1n });
  await stream.take("ack");
  return stream;
}

/** The stream lives: its next message with this number is taken. */
async function assertAlive(stream: Stream, clientSeq: bigint): Promise<void> {
  stream.send({ case: "custom", value: { type: "still here" } }, { clientSeq });
  assert.equal((await stream.take("ack")).clientSeq, clientSeq);
}

async function faultOf(call: Promise<unknown>): Promise<Fault | undefined> {
  try {
    await call;
  } catch (error) {
    return ConnectError.from(error).findDetails(FaultSchema)[0];
  }
  throw new Error("the call was not refused");
}

describe("who may come in", () => {
  const cases: Record<string, { token: (relay: TestRelay) => Promise<string>; reason: string; action: Action }> = {
    "no token": { token: async () => "", reason: "TOKEN_INVALID", action: Action.REAUTHENTICATE },
    "no JWT": { token: async () => "nonsense", reason: "TOKEN_INVALID", action: Action.REAUTHENTICATE },
    "an expired token": {
      token: (relay) => relay.token({ ttlSeconds: 10, nowMs: relay.now() - 60_000 }),
      reason: "TOKEN_EXPIRED",
      action: Action.REAUTHENTICATE,
    },
    "a token for another session": {
      token: (relay) => relay.token({ sessions: ["other", "dem*o"] }).catch(() => relay.token({ sessions: ["other"] })),
      reason: "SESSION_FORBIDDEN",
      action: Action.STOP,
    },
    "a token of another algorithm": {
      token: async () =>
        new SignJWT({ sessions: ["demo"], scope: "session:edit" })
          .setProtectedHeader({ alg: "HS512" })
          .setSubject("alice")
          .setIssuedAt()
          .setExpirationTime("1h")
          .sign(await importJWK({ kty: "oct", k: Buffer.alloc(64, 1).toString("base64url"), alg: "HS512" })),
      reason: "TOKEN_INVALID",
      action: Action.REAUTHENTICATE,
    },
  };
  for (const [title, { token, reason, action }] of Object.entries(cases)) {
    test(`TL1 ${title}: the stream and the unary call end ${reason}`, async () => {
      const jwt = await token(relay);
      const stream = await relay.join({ session: "demo", token: jwt });
      const { fault } = await stream.ended;
      assert.deepEqual([fault?.reason, fault?.action], [reason, action]);
      const headers = jwt === "" ? {} : { authorization: `Bearer ${jwt}` };
      const unary = await faultOf(relay.client().publish({ sessionId: "demo", clientId: "c" }, { headers }));
      assert.equal(unary?.reason, reason);
      if (jwt !== "") assert.equal(JSON.stringify([fault?.message, unary?.message]).includes(jwt), false);
    });
  }

  test("ST7 a session id outside the pattern is refused by name, whatever the token allows", async () => {
    const token = await relay.token({ sessions: ["*"] });
    for (const session of ["", "../x", "a..b", "with space", "x".repeat(129), "-a", "a\n", "ümlaut", "{a}", "a*"]) {
      const stream = await relay.join({ session, token });
      assert.equal((await stream.ended).fault?.reason, "SESSION_ID_INVALID", JSON.stringify(session));
    }
  });

  test("ST8 a client id outside the pattern, and a protocol of the future", async () => {
    const badId = await relay.join({ session: newSession(), clientId: "a/b" });
    assert.equal((await badId.ended).fault?.reason, "CLIENT_ID_INVALID");
    const future = await relay.join({ session: newSession(), protocol: 2 });
    assert.equal((await future.ended).fault?.reason, "PROTOCOL_UNSUPPORTED");
  });

  test("TK17 a resume token of another user, of another session, and a damaged one", async () => {
    const session = newSession();
    const alice = await relay.join({ session });
    const { resumeToken } = await alice.take("welcome");
    const mallory = await relay.join({ session, as: "mallory", resumeToken });
    assert.deepEqual((await mallory.ended).fault?.reason, "RESUME_FORBIDDEN");
    const elsewhere = await relay.join({ session: newSession(), resumeToken });
    assert.equal((await elsewhere.ended).fault?.reason, "RESUME_FORBIDDEN");
    const damaged = await relay.join({ session, resumeToken: `${resumeToken.slice(0, -2)}AA` });
    const { fault } = await damaged.ended;
    assert.deepEqual([fault?.reason, fault?.action], ["RESUME_TOKEN_INVALID", Action.RESYNC]);
    alice.send({ case: "custom", value: {} }, { clientSeq: 1n });
    assert.equal((await alice.take("ack")).seq, 1n);
  });

  test("ST9 no first message in time", async () => {
    const quick = await startRelay({ limits: { firstMessageMs: 100 } });
    try {
      const headers = { "content-type": "application/connect+json", authorization: `Bearer ${await quick.token()}` };
      assert.match(await answerToNothing(quick.url, sessionPath, headers), /FIRST_MESSAGE_TIMEOUT|deadline_exceeded/);
    } finally {
      await quick.stop();
    }
  });
});

describe("messages that are refused while the stream lives", () => {
  const refused: Record<string, { payload: Payload; reason: string; action: Action }> = {
    "beyond the end": { payload: edit("a.ts", 1, 0, 6, ""), reason: "EDIT_OUT_OF_RANGE", action: Action.DROP },
    "ahead of the file": { payload: edit("a.ts", 9, 0, 0, "x"), reason: "VERSION_AHEAD", action: Action.RESYNC },
    "of a file that exists, as new": {
      payload: edit("a.ts", 0, 0, 0, "x"),
      reason: "FILE_EXISTS",
      action: Action.DROP,
    },
    "of no file": { payload: edit("b.ts", 1, 0, 0, "x"), reason: "FILE_NOT_FOUND", action: Action.DROP },
    "with a bad path": { payload: edit("a\nb", 0, 0, 0, "x"), reason: "PATH_INVALID", action: Action.DROP },
    "too large": { payload: edit("a.ts", 1, 0, 0, "x".repeat(101)), reason: "EDIT_TOO_LARGE", action: Action.DROP },
    "of the relay's own kind": {
      payload: { case: "goAway", value: {} },
      reason: "PAYLOAD_UNEXPECTED",
      action: Action.DROP,
    },
    "a second Join": { payload: { case: "join", value: {} }, reason: "ALREADY_JOINED", action: Action.DROP },
  };
  for (const [title, { payload, reason, action }] of Object.entries(refused)) {
    test(`ST12 an edit or message ${title}: ${reason}, and its number is free again`, async () => {
      const alice = await withFile();
      alice.send(payload, { clientSeq: 2n });
      const fault = await alice.take("fault");
      assert.deepEqual([fault.reason, fault.action, fault.clientSeq], [reason, action, 2n]);
      await assertAlive(alice, 2n);
    });
  }

  test("ED11 an edit on its own unacked base", async () => {
    const alice = await withFile();
    alice.send(edit("a.ts", 1, 0, 0, "1"), { clientSeq: 2n });
    alice.send(edit("a.ts", 1, 0, 0, "2"), { clientSeq: 3n });
    const fault = await alice.take("fault");
    assert.deepEqual([fault.reason, fault.action, fault.clientSeq], ["UNACKED_BASE", Action.RESYNC, 3n]);
    await alice.take("ack");
    await assertAlive(alice, 3n);
  });

  test("ED10 an edit older than the history kept", async () => {
    const short = await startRelay({ limits: { fileHistory: 4, messagesBurst: 1000 } });
    try {
      const alice = await short.join();
      const bob = await short.join({ as: "bob" });
      for (let n = 1; n <= 6; n++) {
        alice.send(edit("a.ts", n - 1, 0, 0, "x"), { clientSeq: BigInt(n) });
        await alice.take("ack");
      }
      bob.send(edit("a.ts", 1, 0, 0, "old"), { clientSeq: 1n });
      const fault = await bob.take("fault");
      assert.deepEqual([fault.reason, fault.action], ["STALE_VERSION", Action.RESYNC]);
      bob.send(edit("a.ts", 2, 0, 0, "mapped"), { clientSeq: 1n });
      assert.equal((await bob.take("ack")).version, 7);
    } finally {
      await short.stop();
    }
  });

  test("OR3 OR4 a client_seq reused with another content, a gap, zero, and one beyond 2^53", async () => {
    const alice = await withFile();
    alice.send(edit("a.ts", 0, 0, 0, "other"), { clientSeq: 1n });
    assert.equal((await alice.take("fault")).reason, "CLIENT_SEQ_REUSED");
    for (const clientSeq of [3n, 0n, 2n ** 53n, 2n ** 64n - 1n]) {
      alice.send({ case: "custom", value: {} }, { clientSeq });
      const fault = await alice.take("fault");
      assert.deepEqual(
        [fault.reason, fault.action, fault.message],
        ["OUT_OF_ORDER", Action.RETRY, "expected client_seq 2"],
      );
    }
    await assertAlive(alice, 2n);
  });

  test("ST10 a message of another user, client or session", async () => {
    const alice = await withFile();
    for (const fields of [{ userId: "bob" }, { clientId: "another" }, { sessionId: "another" }]) {
      alice.send({ case: "custom", value: {} }, { clientSeq: 2n, ...fields });
      const fault = await alice.take("fault");
      assert.deepEqual([fault.code, fault.reason, fault.action], ["permission_denied", "WRONG_SENDER", Action.DROP]);
    }
    await assertAlive(alice, 2n);
  });

  test("TK12 a payload whose scope the token lacks", async () => {
    const session = newSession();
    const alice = await relay.join({
      session,
      token: await relay.token({ sessions: [session], scope: "session:comment session:custom" }),
    });
    alice.send(edit("a.ts", 0, 0, 0, "x"), { clientSeq: 1n });
    const fault = await alice.take("fault");
    assert.deepEqual([fault.reason, fault.message], ["SCOPE_MISSING", "the token lacks the scope session:edit"]);
    await assertAlive(alice, 1n);
    const reader = await relay.join({
      session,
      as: "eve",
      token: await relay.token({ sub: "eve", sessions: [session], scope: "session:read" }),
    });
    reader.send({ case: "custom", value: { ephemeral: true } });
    assert.equal((await reader.take("fault")).reason, "SCOPE_MISSING");
  });

  test("TK1 a token without any scope of this relay reads nothing", async () => {
    const token = await relay.token({ scope: "openid profile" });
    const stream = await relay.join({ token });
    assert.equal((await stream.ended).fault?.reason, "SESSION_FORBIDDEN");
    const headers = { authorization: `Bearer ${token}` };
    assert.equal(
      (await faultOf(relay.client().publish({ sessionId: "demo", clientId: "c" }, { headers })))?.reason,
      "SESSION_FORBIDDEN",
    );
  });

  test("LM1 the rate: the burst is taken, the next is told when to come again, and is taken then", async () => {
    const slow = await startRelay({ limits: { messagesPerSecond: 10, messagesBurst: 3 } });
    try {
      const alice = await slow.join();
      for (let n = 1; n <= 4; n++) alice.send({ case: "custom", value: {} }, { clientSeq: BigInt(n) });
      const fault = await alice.take("fault");
      assert.deepEqual([fault.reason, fault.action, fault.clientSeq], ["RATE_LIMITED", Action.RETRY, 4n]);
      assert.ok(fault.retryAfterMs > 0n && fault.retryAfterMs <= 100n);
      for (let n = 1; n <= 3; n++) await alice.take("ack");
      slow.advance(Number(fault.retryAfterMs));
      await assertAlive(alice, 4n);
    } finally {
      await slow.stop();
    }
  });
});

describe("messages that end the stream", () => {
  test("WR3 a message over the limit: MESSAGE_TOO_LARGE, and one at the limit is taken", async () => {
    const small = await startRelay({ limits: { messageBytes: 1024, editBytes: 10_000 } });
    try {
      const alice = await small.join();
      await alice.take("welcome");
      alice.send({ case: "custom", value: { data: new Uint8Array(900) } }, { clientSeq: 1n });
      await alice.take("ack");
      alice.send({ case: "custom", value: { data: new Uint8Array(1024) } }, { clientSeq: 2n });
      const { fault } = await alice.ended;
      assert.deepEqual([fault?.reason, fault?.action], ["MESSAGE_TOO_LARGE", Action.STOP]);
      assert.equal((await small.log.describe("demo"))?.head, 1);
    } finally {
      await small.stop();
    }
  });

  test("WR5 bytes that are no message: MALFORMED, without a word of them", async () => {
    const response = await fetch(`${relay.url}/codereview.v1.CodeReviewService/CollaborativeSession`, {
      method: "POST",
      headers: { "content-type": "application/connect+proto", authorization: `Bearer ${await relay.token()}` },
      body: new Uint8Array([0, 0, 0, 0, 6, 0xff, 0xff, 0x73, 0x70, 0x71, 0x72]),
    });
    const text = await response.text();
    assert.match(text, /MALFORMED/);
    assert.equal(text.includes("spqr"), false);
  });
});

describe("reading the log", () => {
  test("RD3 a session that is not there, a range that is not there, another epoch", async () => {
    const session = newSession();
    const headers = { authorization: `Bearer ${await relay.token({ sessions: [session] })}` };
    const read = async (request: object) => {
      for await (const _ of relay.client().readLog({ sessionId: session, ...request }, { headers }));
    };
    const snapshot = async (request: object) => {
      for await (const _ of relay.client().getSnapshot({ sessionId: session, ...request }, { headers }));
    };
    assert.equal((await faultOf(read({})))?.reason, "SESSION_NOT_FOUND");
    assert.equal((await faultOf(snapshot({})))?.reason, "SESSION_NOT_FOUND");
    const alice = await joined(session);
    alice.send({ case: "custom", value: {} }, { clientSeq: 1n });
    await alice.take("ack");
    await read({});
    assert.equal((await faultOf(read({ fromSeq: 3n })))?.reason, "SEQ_OUT_OF_RANGE");
    assert.equal((await faultOf(snapshot({ atSeq: 2n })))?.reason, "SEQ_OUT_OF_RANGE");
    assert.equal((await faultOf(read({ epoch: "another" })))?.reason, "EPOCH_CHANGED");
    assert.equal((await faultOf(snapshot({ epoch: "another" })))?.reason, "EPOCH_CHANGED");
  });
});

test("LM2 one more writer than the session may have: SESSION_FULL, with a time to try again", async () => {
  const full = await startRelay({ limits: { writers: 2 } });
  try {
    const first = await full.join({ as: "a" });
    const second = await full.join({ as: "b" });
    await first.take("welcome");
    await second.take("welcome");
    const third = await full.join({ as: "c" });
    const { fault } = await third.ended;
    assert.deepEqual([fault?.reason, fault?.action], ["SESSION_FULL", Action.RECONNECT]);
    assert.ok((fault?.retryAfterMs ?? 0n) > 0n);
    const reader = await full.join({ as: "d", token: await full.token({ sub: "d", scope: "session:read" }) });
    await reader.take("welcome");
  } finally {
    await full.stop();
  }
  assert.equal(defaultLimits.writers, 200);
});
