import assert from "node:assert/strict";
import { request as httpRequest } from "node:http";
import { after, before, describe, test } from "node:test";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import type { InstanceMessage } from "../../src/durable/session-bus.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import {
  Fault_Action as Action,
  Welcome_Outcome as Outcome,
  TokenStatus_State as State,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { Readings } from "../../src/relay/readings.ts";
import { RevocationFeed } from "../../src/relay/revocation-feed.ts";
import { BatonError } from "../../src/session/reasons.ts";
import { makeFolder } from "../durable/sqlite-folder.ts";
import { startRelay, type TestRelay } from "./harness.ts";
import { assertAlive, holdLog, operator, refusal, startTwo, until } from "./operators.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay({ limits: { heartbeatMs: 100_000_000 } });
});
after(() => relay.stop());

let names = 0;
const newName = (what: string) => `${what}-${++names}`;
const custom = (clientSeq: bigint) => ({ clientSeq, payload: { case: "custom", value: { type: "t" } } }) as const;
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

const revokeToken = async (tokenId: string, on = relay) =>
  await on.admin().revokeTokens({ tokenId }, await operator(on));
const revokeUser = async (userId: string, on = relay) => await on.admin().revokeTokens({ userId }, await operator(on));

/** Drains a call of the log's. */
async function drain(messages: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of messages) count += 1;
  return count;
}

describe("a revoked token", () => {
  test("RV1 is refused by every call, and another of the same user is not", async () => {
    const session = newName("s");
    const tokenId = newName("jti");
    const options = { sessions: [session], scope: "session:custom session:admin", sub: newName("user") };
    const good = await relay.token({ ...options, tokenId: newName("jti") });
    const bad = await relay.token({ ...options, tokenId });
    await relay.client().publish({ sessionId: session, clientId: "c", messages: [custom(1n)] }, bearer(bad));
    assert.equal((await revokeToken(tokenId)).streams, 0);
    const calls = [
      (token: string) => drain(relay.client().readLog({ sessionId: session }, bearer(token))),
      (token: string) => drain(relay.client().getSnapshot({ sessionId: session }, bearer(token))),
      (token: string) => relay.client().publish({ sessionId: session, clientId: "c" }, bearer(token)),
      (token: string) => relay.admin().listSessions({}, bearer(token)),
    ];
    for (const call of calls) {
      const fault = await refusal(call(bad));
      assert.deepEqual(
        [fault.reason, fault.code, fault.action],
        ["TOKEN_REVOKED", "unauthenticated", Action.REAUTHENTICATE],
      );
      await call(good);
    }
    const fault = await refusal(drain(relay.client().subscribe({ sessionId: session }, bearer(bad))));
    assert.equal(fault.reason, "TOKEN_REVOKED");
    const stream = await relay.join({ session, token: bad });
    assert.equal((await stream.ended).fault?.reason, "TOKEN_REVOKED");
    await (await relay.join({ session, token: good })).take("welcome");
  });

  test("RV1 is named so to nobody who cannot show it whole: what else is wrong comes first", async () => {
    const tokenId = newName("jti");
    await revokeToken(tokenId);
    const token = await relay.token({ tokenId });
    const forged = `${token.slice(0, token.lastIndexOf(".") + 1)}${"A".repeat(43)}`;
    assert.equal((await (await relay.join({ token: forged })).ended).fault?.reason, "TOKEN_INVALID");
    const old = await relay.token({ tokenId, ttlSeconds: 1, nowMs: relay.now() - 60_000 });
    assert.equal((await (await relay.join({ token: old })).ended).fault?.reason, "TOKEN_EXPIRED");
  });

  test("RV2 a user's: those of this second and before are refused, those of the next one are taken", async () => {
    const sub = newName("user");
    const secondMs = Math.floor(relay.now() / 1000) * 1000;
    const [before, at] = [
      await relay.token({ sub, nowMs: secondMs - 1000 }),
      await relay.token({ sub, nowMs: secondMs }),
    ];
    await (await relay.join({ token: before })).take("welcome");
    await revokeUser(sub);
    const revokedMs = Math.floor(relay.now() / 1000) * 1000;
    for (const token of [before, at, await relay.token({ sub, nowMs: secondMs })]) {
      assert.equal((await (await relay.join({ token })).ended).fault?.reason, "TOKEN_REVOKED");
    }
    await (await relay.join({ token: await relay.token({ sub, nowMs: revokedMs + 1000 }) })).take("welcome");
    await (await relay.join({ token: await relay.token({ sub: newName("user"), nowMs: secondMs }) })).take("welcome");
  });
});

describe("live streams and revocation", () => {
  test("RV3 those that live on it end at once where the call came, over every carriage; others go on", async () => {
    const session = newName("s");
    const tokenId = newName("jti");
    const mine = { session, token: await relay.token({ sub: "ann", sessions: [session], tokenId }) };
    const bidi = await relay.join({ ...mine, clientId: "a" });
    await bidi.take("welcome");
    const other = await relay.join({ session, as: "ann", clientId: "b" });
    await other.take("welcome");
    const down = relay.client().subscribe({ sessionId: session, join: { clientId: "c" } }, bearer(mine.token));
    const split = refusal(drain(down));
    await until(() =>
      [...relay.relay.rooms.all].some((room) => room.sessionId === session && room.participants.size === 3),
    );
    assert.equal((await revokeToken(tokenId)).streams, 2);
    const { fault } = await bidi.ended;
    assert.deepEqual([fault?.reason, fault?.action], ["TOKEN_REVOKED", Action.REAUTHENTICATE]);
    assert.equal((await split).reason, "TOKEN_REVOKED");
    await assertAlive(other, 1n);
    assert.equal((await revokeToken(tokenId)).streams, 0);
  });

  for (const shareBus of [true, false]) {
    test(`RV3 on another instance of the same store too, ${shareBus ? "told by the bus" : "found by the poll alone"}`, async () => {
      const two = await startTwo({ shareBus });
      try {
        const tokenId = newName("jti");
        const byToken = await two.there.join({ token: await two.there.token({ tokenId }) });
        const byUser = await two.there.join({ as: "bob" });
        const other = await two.there.join({ clientId: "other" });
        for (const stream of [byToken, byUser, other]) await stream.take("welcome");
        assert.equal((await revokeToken(tokenId, two.here)).streams, 0);
        await revokeUser("bob", two.here);
        if (!shareBus) two.there.advance(2_000);
        for (const stream of [byToken, byUser]) assert.equal((await stream.ended).fault?.reason, "TOKEN_REVOKED");
        await assertAlive(other, 1n);
        const late = await two.there.join({ token: await two.there.token({ tokenId }) });
        assert.equal((await late.ended).fault?.reason, "TOKEN_REVOKED");
      } finally {
        await two.stop();
      }
    });
  }

  test("RV3 the others are told that there is something new, and whoever is told looks at once", async () => {
    const memory = createMemoryLog(Date.now);
    let looks = 0;
    const log: SessionLog = {
      ...memory,
      revocations: (place, limit) => {
        looks += 1;
        return memory.revocations(place, limit);
      },
    };
    const two = await startTwo({ shareBus: true, log });
    try {
      const heard: InstanceMessage[] = [];
      const third = two.bus.member();
      third.listen((message) => heard.push(message));
      await revokeToken(newName("jti"), two.here);
      assert.deepEqual(heard, [{ kind: "revoked" }]);
      // In the same turn: it was not the poll.
      const before = looks;
      third.announce({ kind: "revoked" });
      assert.equal(looks, before + 2);
      await two.stop();
      const last = looks;
      third.announce({ kind: "revoked" });
      assert.equal(looks, last, "whoever has stopped listens no more");
    } finally {
      await two.stop();
    }
  });

  test("RV3 the store is asked every 2 s, also where the clock was set back", async () => {
    const feed = new RevocationFeed(createMemoryLog(Date.now));
    await feed.load(100_000);
    assert.deepEqual(
      [99_999, 100_000, 101_999, 102_000].map((ms) => feed.isDue(ms)),
      [true, false, false, true],
    );
    await feed.poll(102_000);
    assert.deepEqual(
      [103_999, 104_000].map((ms) => feed.isDue(ms)),
      [false, true],
    );
  });

  test("RV3 the token in force counts: one that was rotated away from may be revoked, the one rotated to not", async () => {
    const session = newName("s");
    const [first, second] = [newName("jti"), newName("jti")];
    const token = (tokenId: string) => relay.token({ sessions: [session], tokenId });
    const stream = await relay.join({ session, token: await token(first) });
    await stream.take("welcome");
    stream.send({ case: "tokenRotation", value: { token: await token(second) } });
    assert.equal((await stream.take("tokenStatus")).state, State.ACCEPTED);
    assert.equal((await revokeToken(first)).streams, 0);
    await assertAlive(stream, 1n);
    assert.equal((await revokeToken(second)).streams, 1);
    assert.equal((await stream.ended).fault?.reason, "TOKEN_REVOKED");
  });

  test("RV3 a join whose token is revoked while it waits does not come in", async () => {
    const { log, asked, release, begin } = holdLog("claim");
    const slow = await startRelay({ log });
    try {
      begin();
      const tokenId = newName("jti");
      const stream = await slow.join({ token: await slow.token({ tokenId }) });
      await asked;
      assert.equal((await revokeToken(tokenId, slow)).streams, 0);
      release();
      assert.equal((await stream.ended).fault?.reason, "TOKEN_REVOKED");
      assert.deepEqual(stream.kinds(), ["heartbeat"]);
    } finally {
      await slow.stop();
    }
  });

  test("RV4 a call whose token is revoked while its request is waited for reads nothing", async () => {
    const session = newName("s");
    const tokenId = newName("jti");
    const token = await relay.token({ sessions: [session], tokenId });
    await relay.client().publish({ sessionId: session, clientId: "c", messages: [custom(1n)] }, bearer(token));
    const call = httpRequest(`${relay.url}/codereview.v1.CodeReviewService/ReadLog`, {
      method: "POST",
      headers: { "content-type": "application/connect+json", authorization: `Bearer ${token}` },
    });
    const answered = new Promise<string>((resolve, reject) => {
      call.on("error", reject);
      call.on("response", (response) => {
        let text = "";
        response.setEncoding("latin1").on("data", (piece: string) => {
          text += piece;
        });
        response.on("end", () => resolve(text));
      });
    });
    call.flushHeaders();
    // So that its token was looked at before. Should it not have been yet, it is refused all the same.
    await new Promise((resolve) => setTimeout(resolve, 100));
    await revokeToken(tokenId);
    const request = Buffer.from(JSON.stringify({ sessionId: session }));
    call.end(Buffer.concat([Buffer.from([0, 0, 0, 0, request.length]), request]));
    const text = await answered;
    assert.match(text, /TOKEN_REVOKED/);
    assert.doesNotMatch(text, /"custom"/);
  });

  test("RV4 a call that is over is not kept", () => {
    const readings = new Readings();
    const principal = {
      userId: "u",
      scopes: new Set([]),
      sessions: [],
      issuedAtMs: 0,
      expiresAtMs: 1,
      tokenId: undefined,
    };
    const reading = { sessionId: "s", principal, end: () => undefined };
    readings.add(reading, AbortSignal.abort());
    assert.equal([...readings.all].length, 0);
    const life = new AbortController();
    readings.add(reading, life.signal);
    assert.equal([...readings.all].length, 1);
    life.abort();
    assert.equal([...readings.all].length, 0);
  });

  for (const [method, name] of [
    ["read", "ReadLog"],
    ["latestSnapshot", "GetSnapshot"],
  ] as const) {
    test(`RV4 ${name} ends in the middle`, async () => {
      const { log, asked, release, begin } = holdLog(method);
      const slow = await startRelay({ log });
      try {
        const tokenId = newName("jti");
        const options = bearer(await slow.token({ tokenId }));
        await slow.client().publish({ sessionId: "demo", clientId: "c", messages: [custom(1n), custom(2n)] }, options);
        begin();
        const request = { sessionId: "demo", atSeq: 1n };
        const call =
          name === "ReadLog"
            ? drain(slow.client().readLog({ sessionId: "demo" }, options))
            : drain(slow.client().getSnapshot(request, options));
        const refused = refusal(call);
        await asked;
        assert.equal((await revokeToken(tokenId, slow)).streams, 1);
        assert.equal((await refused).reason, "TOKEN_REVOKED");
        assert.equal([...slow.relay.readings.all].length, 0);
      } finally {
        release();
        await slow.stop();
      }
    });
  }

  test("RV4 a Publish takes nothing more of what stands behind", async () => {
    const { log, asked, release, begin } = holdLog("append");
    const slow = await startRelay({ log });
    try {
      const tokenId = newName("jti");
      begin();
      const heartbeat = { payload: { case: "heartbeat", value: { sentAt: 1n } } } as const;
      const messages = [custom(1n), heartbeat, custom(2n)];
      const call = slow
        .client()
        .publish({ sessionId: "demo", clientId: "c", messages }, bearer(await slow.token({ tokenId })));
      const refused = refusal(call);
      await asked;
      await revokeToken(tokenId, slow);
      release();
      assert.equal((await refused).reason, "TOKEN_REVOKED");
      assert.equal((await log.describe("demo"))?.head, 1);
    } finally {
      await slow.stop();
    }
  });

  test("RV5 a rotation to a revoked token is REJECTED, and the one in force stays", async () => {
    const session = newName("s");
    const tokenId = newName("jti");
    await revokeToken(tokenId);
    const stream = await relay.join({ session });
    const { tokenExpiresAt } = await stream.take("welcome");
    stream.send({ case: "tokenRotation", value: { token: await relay.token({ sessions: [session], tokenId }) } });
    const status = await stream.take("tokenStatus");
    assert.deepEqual([status.state, status.expiresAt], [State.REJECTED, tokenExpiresAt]);
    assert.match(status.reason, /revoked/);
    await assertAlive(stream, 1n);
  });

  test("RV6 a resume token lets nobody in without a token that holds; with one it goes on where it was", async () => {
    const session = newName("s");
    const tokenId = newName("jti");
    const token = await relay.token({ sessions: [session], tokenId });
    const stream = await relay.join({ session, token });
    const { resumeToken } = await stream.take("welcome");
    await assertAlive(stream, 1n);
    await revokeToken(tokenId);
    await stream.ended;
    const back = await relay.join({ session, token, resumeToken, lastSeq: 1n });
    assert.equal((await back.ended).fault?.reason, "TOKEN_REVOKED");
    const renewed = await relay.join({ session, resumeToken, lastSeq: 1n });
    const { outcome, lastClientSeq } = await renewed.take("welcome");
    assert.deepEqual([outcome, lastClientSeq], [Outcome.RESUMED, 1n]);
  });
});

describe("what is kept of revocations", () => {
  test("RV7 a relay that starts on the store knows them before it serves anybody", async () => {
    const { path, remove } = makeFolder();
    const open = () => openSqliteLog({ path, now: Date.now });
    const tokenId = newName("jti");
    const first = await startRelay({ log: await open() });
    const user = await first.token({ sub: "bob" });
    await revokeToken(tokenId, first);
    await revokeUser("bob", first);
    await first.stop();
    await first.log.close();
    const second = await startRelay({ log: await open() });
    try {
      for (const token of [await second.token({ tokenId }), user]) {
        assert.equal((await (await second.join({ token })).ended).fault?.reason, "TOKEN_REVOKED");
      }
      await (await second.join()).take("welcome");
    } finally {
      await second.stop();
      await second.log.close();
      remove();
    }
  });

  test("RV7 one that cannot read them does not start", async () => {
    const log: SessionLog = {
      ...createMemoryLog(Date.now),
      revocations: () => Promise.reject(new BatonError("LOG_UNAVAILABLE")),
    };
    await assert.rejects(startRelay({ log }), /log cannot be reached/);
  });

  test("RV8 a poll that fails keeps what is known, is logged once, and is made good by a later one", async () => {
    const lines: LogRecord[] = [];
    await configure({
      reset: true,
      sinks: { list: (line) => lines.push(line) },
      loggers: [
        { category: ["baton", "revocation"], sinks: ["list"], lowestLevel: "info" },
        { category: ["logtape", "meta"], sinks: [], lowestLevel: "fatal" },
      ],
    });
    const memory = createMemoryLog(Date.now);
    let polls = 0;
    let failsAfter = Number.POSITIVE_INFINITY;
    const log: SessionLog = {
      ...memory,
      // In pages of two, so that one may fail in the middle.
      revocations: async (place, limit) => {
        polls += 1;
        if (place >= failsAfter) throw new BatonError("LOG_UNAVAILABLE");
        return await memory.revocations(place, limit);
      },
    };
    const flaky = await startRelay({ log });
    const pollTwice = async () => {
      for (let round = 0; round < 2; round++) {
        const before = polls;
        flaky.advance(2_000);
        await until(() => polls > before);
      }
    };
    try {
      const [known, late] = [newName("jti"), newName("jti")];
      await revokeToken(known, flaky);
      const stream = await flaky.join({ token: await flaky.token({ tokenId: late }) });
      await stream.take("welcome");
      failsAfter = 0;
      await memory.revoke({ kind: "token", tokenId: late });
      await pollTwice();
      const refused = await flaky.join({ token: await flaky.token({ tokenId: known }) });
      assert.equal((await refused.ended).fault?.reason, "TOKEN_REVOKED");
      await assertAlive(stream, 1n);
      assert.deepEqual(
        lines.map(({ level, properties }) => [level, properties.reason]),
        [["error", "LOG_UNAVAILABLE"]],
      );
      failsAfter = Number.POSITIVE_INFINITY;
      await pollTwice();
      assert.equal((await stream.ended).fault?.reason, "TOKEN_REVOKED");
      assert.deepEqual(
        lines.map(({ level }) => level),
        ["error", "info"],
      );
    } finally {
      await flaky.stop();
      await reset();
    }
  });

  test("RV8 what a poll found before it failed holds, and is told as new", async () => {
    const memory = createMemoryLog(Date.now);
    const pageSize = 1_000;
    for (let n = 0; n < pageSize + 5; n++) await memory.revoke({ kind: "token", tokenId: `t${n}` });
    let fails = false;
    const log: SessionLog = {
      ...memory,
      revocations: async (place, limit) => {
        if (fails && place > 0) throw new BatonError("LOG_UNAVAILABLE");
        return await memory.revocations(place, limit);
      },
    };
    const feed = new RevocationFeed(log);
    fails = true;
    assert.equal(await feed.poll(0), true);
    assert.equal(feed.known.size, pageSize);
    assert.equal(await feed.poll(1), false);
    fails = false;
    assert.equal(await feed.poll(2), true);
    assert.equal(feed.known.size, pageSize + 5);
    assert.equal(await feed.poll(3), false);
  });

  test("RV9 no more are taken than may be kept; what is revoked already may be revoked again", async () => {
    const feed = new RevocationFeed(createMemoryLog(Date.now), 2);
    await feed.revoke({ kind: "token", tokenId: "a" });
    await feed.revoke({ kind: "user", userId: "u", issuedBeforeMs: 1 });
    for (const more of [
      { kind: "token", tokenId: "b" },
      { kind: "user", userId: "v", issuedBeforeMs: 1 },
    ] as const) {
      await assert.rejects(feed.revoke(more), (error) => error instanceof BatonError && error.reason === "LOG_FULL");
      assert.equal(feed.known.has(more), false);
    }
    await feed.revoke({ kind: "token", tokenId: "a" });
    await feed.revoke({ kind: "user", userId: "u", issuedBeforeMs: 5 });
    assert.equal(feed.known.isRevoked({ tokenId: undefined, userId: "u", issuedAtMs: 4 }), true);
  });
});
