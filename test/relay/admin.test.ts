import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { Fault_Action as Action, PresenceUpdate_Status as Status } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit, startRelay, type TestRelay } from "./harness.ts";
import { assertAlive, operator, refusal, startTwo } from "./operators.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay();
});
after(() => relay.stop());

let sessions = 0;
const newSession = () => `admin-${++sessions}`;

/** A session with one record, and nobody in it. */
async function logSession(session: string, on = relay): Promise<string> {
  const headers = { authorization: `Bearer ${await on.token({ sessions: [session] })}` };
  const message = { clientSeq: 1n, payload: { case: "custom", value: { type: "t" } } } as const;
  const { replies } = await on
    .client()
    .publish({ sessionId: session, clientId: "c", messages: [message] }, { headers });
  assert.equal(replies[0]?.payload.case, "ack");
  return session;
}

type Admin = ReturnType<TestRelay["admin"]>;
type Call = (admin: Admin, session: string, options: Awaited<ReturnType<typeof operator>>) => Promise<unknown>;

const callsOfOneSession: Readonly<Record<string, Call>> = {
  DescribeSession: (admin, sessionId, options) => admin.describeSession({ sessionId }, options),
  Disconnect: (admin, sessionId, options) => admin.disconnect({ sessionId, userId: "alice" }, options),
  DeleteSession: (admin, sessionId, options) => admin.deleteSession({ sessionId }, options),
};
const callsOfAll: Readonly<Record<string, Call>> = {
  RevokeTokens: (admin, _session, options) => admin.revokeTokens({ userId: "nobody" }, options),
  "RevokeTokens of one token": (admin, _session, options) => admin.revokeTokens({ tokenId: "none" }, options),
  "Disconnect everywhere": (admin, _session, options) => admin.disconnect({ userId: "nobody" }, options),
};
const allCalls: Readonly<Record<string, Call>> = {
  ListSessions: (admin, prefix, options) => admin.listSessions({ prefix }, options),
  ...callsOfOneSession,
  ...callsOfAll,
};

describe("who may administrate what", () => {
  for (const [name, call] of Object.entries(allCalls)) {
    test(`AD1 ${name} takes the scope session:admin, and a token`, async () => {
      const session = await logSession(newSession());
      const scope = "session:edit session:comment session:custom";
      const headers = { authorization: `Bearer ${await relay.token({ sessions: ["*"], scope })}` };
      const fault = await refusal(call(relay.admin(), session, { headers }));
      assert.deepEqual([fault.reason, fault.message], ["SCOPE_MISSING", "the token lacks the scope session:admin"]);
      const none = await refusal(call(relay.admin(), session, { headers: { authorization: "" } }));
      assert.equal(none.reason, "TOKEN_INVALID");
      assert.notEqual(await relay.log.describe(session), undefined);
    });
  }

  for (const [name, call] of Object.entries(callsOfOneSession)) {
    test(`AD2 ${name}: a session that the token does not name is forbidden in the same words, there or not`, async () => {
      const there = await logSession(newSession());
      const live = newSession();
      await (await relay.join({ session: live })).take("welcome");
      const options = await operator(relay, ["another", `${there}/*`, "adm"]);
      const told = [];
      for (const session of [there, live, newSession()])
        told.push(await refusal(call(relay.admin(), session, options)));
      const [first] = told;
      assert.deepEqual(
        [first?.reason, first?.code, first?.action],
        ["SESSION_FORBIDDEN", "permission_denied", Action.STOP],
      );
      for (const fault of told) assert.deepEqual(fault, first);
      assert.notEqual(await relay.log.describe(there), undefined);
    });

    test(`AD3 ${name}: a session that the token names and that is not there is SESSION_NOT_FOUND`, async () => {
      const session = newSession();
      for (const patterns of [["*"], [session]]) {
        const fault = await refusal(call(relay.admin(), session, await operator(relay, patterns)));
        assert.deepEqual([fault.reason, fault.code], ["SESSION_NOT_FOUND", "not_found"]);
      }
      for (const bad of ["../x", "a b", "x".repeat(129)]) {
        const fault = await refusal(call(relay.admin(), bad, await operator(relay)));
        assert.equal(fault.reason, "SESSION_ID_INVALID");
      }
    });
  }

  for (const [name, call] of Object.entries(callsOfAll)) {
    test(`AD2 ${name} takes a token that names every session`, async () => {
      const fault = await refusal(call(relay.admin(), "", await operator(relay, ["a*", "b", "admin-*"])));
      assert.equal(fault.reason, "SESSION_FORBIDDEN");
      await call(relay.admin(), "", await operator(relay, ["a", "*"]));
    });
  }

  test("AD3 the empty session id is none, where a call is about one session", async () => {
    const options = await operator(relay);
    const empty = { sessionId: "" };
    assert.equal((await refusal(relay.admin().describeSession(empty, options))).reason, "SESSION_ID_INVALID");
    assert.equal((await refusal(relay.admin().deleteSession(empty, options))).reason, "SESSION_ID_INVALID");
  });

  test("AD8 a request that does not say what to do is told what to give", async () => {
    const options = await operator(relay);
    const admin = relay.admin();
    const session = await logSession(newSession());
    const refused: (readonly [RegExp, Promise<unknown>])[] = [
      [/user_id, client_id or both/, admin.disconnect({}, options)],
      [/user_id, client_id or both/, admin.disconnect({ sessionId: session }, options)],
      [/token_id .*or user_id/, admin.revokeTokens({}, options)],
      [/token_id .*or user_id/, admin.revokeTokens({ tokenId: "a", userId: "b" }, options)],
      [/no token can have this name/, admin.revokeTokens({ tokenId: "x".repeat(257) }, options)],
      [/no token can have this name/, admin.revokeTokens({ userId: "a\nb" }, options)],
      [/not the token itself/, admin.revokeTokens({ tokenId: (await relay.token()).slice(0, 200) }, options)],
      [/prefix/, admin.listSessions({ prefix: "../" }, options)],
      [/prefix/, admin.listSessions({ prefix: "a b" }, options)],
    ];
    for (const [says, call] of refused) {
      const fault = await refusal(call);
      assert.deepEqual([fault.reason, fault.code, fault.action], ["REQUEST_INVALID", "invalid_argument", Action.STOP]);
      assert.match(fault.message, says);
    }
  });
});

describe("ListSessions", () => {
  let counted: { relay: TestRelay; log: SessionLog; asked: string[] };
  const ids = ["team-a", "team-a/1", "team-a/2", "team-a/3", "team-b", "team-b/1", "zoo"];
  before(async () => {
    const memory = createMemoryLog(Date.now);
    const asked: string[] = [];
    const log: SessionLog = {
      ...memory,
      list: (prefix, after, limit) => {
        asked.push(`${prefix}* ${limit}`);
        return memory.list(prefix, after, limit);
      },
      describe: (sessionId) => {
        asked.push(sessionId);
        return memory.describe(sessionId);
      },
    };
    counted = { relay: await startRelay({ log }), log: memory, asked };
    for (const id of [...ids].reverse()) await logSession(id, counted.relay);
  });
  after(() => counted.relay.stop());

  const listAll = async (patterns: readonly string[], prefix: string, pageSize: number) => {
    const options = await operator(counted.relay, patterns);
    const pages: string[][] = [];
    let pageToken = "";
    do {
      const page = await counted.relay.admin().listSessions({ prefix, pageSize, pageToken }, options);
      pages.push(page.sessions.map(({ sessionId }) => sessionId));
      pageToken = page.nextPageToken;
    } while (pageToken !== "" && pages.length < 20);
    return pages;
  };

  test("AD4 tells what the token names alone, in order, each once, page by page", async () => {
    assert.deepEqual(await listAll(["*"], "", 0), [ids]);
    assert.deepEqual(await listAll(["*"], "", 3), [ids.slice(0, 3), ids.slice(3, 6), ids.slice(6)]);
    assert.deepEqual(await listAll(["*"], "", 7), [ids]);
    assert.deepEqual(await listAll(["*"], "team-a/", 2), [["team-a/1", "team-a/2"], ["team-a/3"]]);
    assert.deepEqual(await listAll(["zoo", "team-a/*", "team-a/2", "team-a/*", "none"], "", 2), [
      ["team-a/1", "team-a/2"],
      ["team-a/3", "zoo"],
    ]);
    assert.deepEqual(await listAll(["team-b*", "team-a"], "team", 1), [["team-a"], ["team-b"], ["team-b/1"]]);
    assert.deepEqual(await listAll(["other/*"], "", 5), [[]]);
    assert.deepEqual(await listAll(["team-a/*"], "team-b", 5), [[]]);
  });

  for (const kind of ["connect-json", "connect-h1", "grpc-web"] as const) {
    test(`AD4 the same over ${kind}, refusals too`, async () => {
      const admin = counted.relay.admin(kind);
      const { sessions } = await admin.listSessions({ prefix: "team-b" }, await operator(counted.relay));
      assert.deepEqual(
        sessions.map(({ sessionId, headSeq }) => [sessionId, headSeq]),
        [
          ["team-b", 1n],
          ["team-b/1", 1n],
        ],
      );
      const fault = await refusal(admin.describeSession({ sessionId: "zoo" }, await operator(counted.relay, ["a"])));
      assert.equal(fault.reason, "SESSION_FORBIDDEN");
    });
  }

  test("AD4 looks at no session that the token does not name, and at one more than the page holds", async () => {
    counted.asked.length = 0;
    await listAll(["team-b/*", "team-a/1", "zoo"], "team-", 5);
    assert.deepEqual(counted.asked, ["team-a/1", "team-b/* 5"]);
    counted.asked.length = 0;
    const few = await operator(counted.relay, ["team-a/1", "team-a/2", "team-b/1", "zoo"]);
    await counted.relay.admin().listSessions({ pageSize: 1 }, few);
    assert.deepEqual(counted.asked, ["team-a/1", "team-a/2"]);
    counted.asked.length = 0;
    const options = await operator(counted.relay);
    await counted.relay.admin().listSessions({ pageSize: 5000 }, options);
    await counted.relay.admin().listSessions({}, options);
    assert.deepEqual(counted.asked, ["* 1001", "* 101"]);
  });

  test("AD4 a page token says where to go on, and nothing else: garbage and another prefix's are refused", async () => {
    const admin = counted.relay.admin();
    const options = await operator(counted.relay);
    const { nextPageToken } = await admin.listSessions({ prefix: "team-a", pageSize: 1 }, options);
    const bad = [
      "x",
      "!",
      "AAAA",
      "\u0000",
      nextPageToken.slice(1),
      Buffer.from("1 ../x").toString("base64url"),
      "A".repeat(9999),
    ];
    for (const pageToken of bad) {
      const fault = await refusal(admin.listSessions({ prefix: "team-a", pageToken }, options));
      assert.equal(fault.reason, "REQUEST_INVALID", pageToken);
      assert.match(fault.message, /page_token/);
    }
    for (const text of ["1 ../x", "1 ", "2 zoo", "zoo", "1 team-a\n"]) {
      const pageToken = Buffer.from(text).toString("base64url");
      const fault = await refusal(admin.listSessions({ pageToken }, options));
      assert.equal(fault.reason, "REQUEST_INVALID", text);
    }
    const elsewhere = await refusal(admin.listSessions({ prefix: "zoo", pageToken: nextPageToken }, options));
    assert.equal(elsewhere.reason, "REQUEST_INVALID");
    const { sessions } = await admin.listSessions({ pageToken: nextPageToken }, await operator(counted.relay, ["zoo"]));
    assert.deepEqual(
      sessions.map(({ sessionId }) => sessionId),
      ["zoo"],
    );
  });

  test("AD4 a session has its place in the log, its size, and the streams that are open on this instance", async () => {
    const bob = await counted.relay.join({ session: "zoo", as: "bob" });
    await bob.take("welcome");
    const { sessions } = await counted.relay.admin().listSessions({ prefix: "zoo" }, await operator(counted.relay));
    const state = await counted.log.describe("zoo");
    assert.ok(state !== undefined && state.head === 1 && state.bytes > 0);
    const [info] = sessions;
    assert.deepEqual(
      [info?.headSeq, info?.firstSeq, info?.logBytes, info?.lastActivity, info?.participants],
      [1n, 1n, BigInt(state.bytes), BigInt(state.lastActivityMs), 1],
    );
    bob.cut();
  });
});

describe("DescribeSession", () => {
  test("AD5 tells who is there, and the files without their text, of a live session and of one at rest", async () => {
    const session = newSession();
    const alice = await relay.join({ session, clientId: "laptop" });
    await alice.take("welcome");
    alice.send(edit("b.ts", 0, 0, 0, "canary"), { clientSeq: 1n });
    alice.send(edit("b.ts", 1, 0, 0, "more "), { clientSeq: 2n });
    alice.send(edit("a.ts", 0, 0, 0, "x"), { clientSeq: 3n });
    alice.send(edit("gone.ts", 0, 0, 0, "x"), { clientSeq: 4n });
    alice.send({ case: "edit", value: { filePath: "gone.ts", version: 1, deleted: true } }, { clientSeq: 5n });
    alice.send({ case: "presence", value: { status: Status.IDLE, displayName: "Alice" } });
    for (let n = 0; n < 5; n++) await alice.take("ack");
    const reader = await relay.join({
      session,
      as: "rita",
      token: await relay.token({ sub: "rita", sessions: [session], scope: "session:read" }),
    });
    await reader.take("welcome");

    const describeIt = async () =>
      relay.admin().describeSession({ sessionId: session }, await operator(relay, [session]));
    const files = [
      { filePath: "a.ts", version: 1, content: "", offset: 0 },
      { filePath: "b.ts", version: 2, content: "", offset: 0 },
    ];
    const plain = (described: Awaited<ReturnType<typeof describeIt>>) =>
      described.files.map(({ filePath, version, content, offset }) => ({ filePath, version, content, offset }));
    const live = await describeIt();
    assert.deepEqual(plain(live), files);
    assert.deepEqual(
      live.participants.map(({ userId, clientId, displayName, status }) => [userId, clientId, displayName, status]),
      [["alice", "laptop", "Alice", Status.IDLE]],
    );
    assert.deepEqual([live.info?.sessionId, live.info?.headSeq, live.info?.participants], [session, 5n, 2]);

    const elsewhere = await startRelay({ log: relay.log });
    const atRest = await elsewhere
      .admin()
      .describeSession({ sessionId: session }, await operator(elsewhere, [session]));
    await elsewhere.stop();
    assert.deepEqual(plain(atRest), files);
    assert.deepEqual([atRest.participants.length, atRest.info?.headSeq, atRest.info?.participants], [0, 5n, 0]);
  });

  test("AD5 tells the files as the log has them, also where the room here is behind", async () => {
    const two = await startTwo({ shareBus: false });
    try {
      const reader = await two.here.join({ token: await two.here.token({ sub: "rita", scope: "session:read" }) });
      await reader.take("welcome");
      const filesHere = async () => {
        const { files } = await two.here.admin().describeSession({ sessionId: "demo" }, await operator(two.here));
        return files.map(({ filePath, version }) => [filePath, version]);
      };
      const writer = await two.there.join();
      await writer.take("welcome");
      writer.send(edit("a.ts", 0, 0, 0, "x"), { clientSeq: 1n });
      await writer.take("ack");
      assert.deepEqual(await filesHere(), [["a.ts", 1]]);
    } finally {
      await two.stop();
    }
  });

  test("AD3 a session in which nothing was said yet is there as soon as somebody who may write has joined", async () => {
    const session = newSession();
    const options = await operator(relay);
    await (await relay.join({ session })).take("welcome");
    const { info, participants, files } = await relay.admin().describeSession({ sessionId: session }, options);
    assert.deepEqual([info?.headSeq, info?.firstSeq, participants.length, files.length], [0n, 1n, 1, 0]);
  });
});

describe("Disconnect", () => {
  test("AD6 ends the streams of a user, or of one client, in one session: DISCONNECTED, STOP", async () => {
    const session = newSession();
    const other = newSession();
    const laptop = await relay.join({ session, clientId: "laptop" });
    const phone = await relay.join({ session, clientId: "phone" });
    const elsewhere = await relay.join({ session: other, clientId: "laptop" });
    const bob = await relay.join({ session, as: "bob", clientId: "laptop" });
    for (const stream of [laptop, phone, elsewhere, bob]) await stream.take("welcome");
    const options = await operator(relay, [session]);
    const one = await relay.admin().disconnect({ sessionId: session, userId: "alice", clientId: "phone" }, options);
    assert.equal(one.streams, 1);
    const { fault, error } = await phone.ended;
    assert.deepEqual([fault?.reason, fault?.action, fault?.code], ["DISCONNECTED", Action.STOP, "aborted"]);
    assert.ok(error !== undefined);
    assert.equal((await relay.admin().disconnect({ sessionId: session, userId: "alice" }, options)).streams, 1);
    assert.equal((await laptop.ended).fault?.reason, "DISCONNECTED");
    assert.equal((await relay.admin().disconnect({ sessionId: session, userId: "alice" }, options)).streams, 0);
    await assertAlive(elsewhere, 1n);
    await assertAlive(bob, 1n);
    assert.equal((await relay.admin().disconnect({ sessionId: session, clientId: "laptop" }, options)).streams, 1);
    assert.equal((await bob.ended).fault?.reason, "DISCONNECTED");
  });

  test("AD6 everywhere; the user may come back", async () => {
    const streams = [];
    for (const session of [newSession(), newSession()]) streams.push(await relay.join({ session, as: "carol" }));
    const dave = await relay.join({ session: newSession(), as: "dave" });
    for (const stream of [...streams, dave]) await stream.take("welcome");
    const { streams: ended } = await relay.admin().disconnect({ userId: "carol" }, await operator(relay));
    assert.equal(ended, 2);
    for (const stream of streams) assert.equal((await stream.ended).fault?.reason, "DISCONNECTED");
    await assertAlive(dave, 1n);
    await assertAlive(await relay.join({ session: newSession(), as: "carol" }), 1n);
  });

  test("AD6 a session that only readers are in is there", async () => {
    const session = newSession();
    const token = await relay.token({ sub: "rita", sessions: [session], scope: "session:read" });
    const rita = await relay.join({ session, token });
    await rita.take("welcome");
    assert.equal(
      (await relay.admin().disconnect({ sessionId: session, userId: "rita" }, await operator(relay))).streams,
      1,
    );
    assert.equal((await rita.ended).fault?.reason, "DISCONNECTED");
  });

  for (const everywhere of [false, true]) {
    test(`AD6 reaches the other instances, ${everywhere ? "everywhere" : "in one session"}, and counts theirs`, async () => {
      const two = await startTwo({ shareBus: true });
      try {
        const away = await two.there.join();
        const other = await two.there.join({ session: "other" });
        const bob = await two.there.join({ as: "bob" });
        const near = await two.here.join({ clientId: "near" });
        for (const stream of [away, other, bob, near]) await stream.take("welcome");
        const sessionId = everywhere ? "" : "demo";
        const { streams } = await two.here.admin().disconnect({ sessionId, userId: "alice" }, await operator(two.here));
        assert.equal(streams, everywhere ? 3 : 2);
        for (const stream of [away, near]) assert.equal((await stream.ended).fault?.reason, "DISCONNECTED");
        if (everywhere) assert.equal((await other.ended).fault?.reason, "DISCONNECTED");
        else await assertAlive(other, 1n);
        await assertAlive(bob, 1n);
      } finally {
        await two.stop();
      }
    });
  }
});

describe("the audit", () => {
  test("AD9 each admin call leaves one line: who, what, of what, and why not; no token", async () => {
    const lines: LogRecord[] = [];
    await configure({
      reset: true,
      sinks: { list: (line) => lines.push(line) },
      loggers: [
        { category: ["baton"], sinks: ["list"], lowestLevel: "info" },
        { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
      ],
    });
    try {
      const session = await logSession(newSession());
      const options = await operator(relay, ["*"], "root");
      const admin = relay.admin();
      await admin.listSessions({ prefix: "admin" }, options);
      await admin.describeSession({ sessionId: session }, options);
      await admin.disconnect({ sessionId: session, userId: "u", clientId: "c" }, options);
      await admin.revokeTokens({ tokenId: "jti-1" }, options);
      await admin.deleteSession({ sessionId: session }, options);
      await refusal(admin.deleteSession({ sessionId: session }, options));
      await refusal(admin.revokeTokens({ userId: "u" }, await operator(relay, ["demo"], "mallory")));
      const told = lines
        .filter(({ category }) => category[1] === "admin")
        .map(({ level, properties }) => ({ level, ...properties }));
      assert.deepEqual(told, [
        { level: "info", call: "ListSessions", by: "root", prefix: "admin" },
        { level: "info", call: "DescribeSession", by: "root", session },
        { level: "info", call: "Disconnect", by: "root", session, user: "u", client: "c", streams: 0 },
        { level: "info", call: "RevokeTokens", by: "root", user: "", tokenId: "jti-1", streams: 0 },
        { level: "info", call: "DeleteSession", by: "root", session },
        { level: "warning", call: "DeleteSession", by: "root", session, reason: "SESSION_NOT_FOUND" },
        { level: "warning", call: "RevokeTokens", by: "mallory", user: "u", tokenId: "", reason: "SESSION_FORBIDDEN" },
      ]);
      const jwt = options.headers.authorization.slice("Bearer ".length);
      assert.equal(JSON.stringify(lines.map(({ properties }) => properties)).includes(jwt.slice(0, 20)), false);
    } finally {
      await reset();
    }
  });
});
