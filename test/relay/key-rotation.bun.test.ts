import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { ConnectError } from "@connectrpc/connect";
import { createJwks } from "../../src/auth/jwks.ts";
import {
  Fault_Action as Action,
  FaultSchema,
  Welcome_Outcome as Outcome,
  TokenStatus_State as State,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type Answer, createSigner, gatherLogs, type Issuer, startIssuer } from "../auth/issuer.ts";
import { type Stream, startRelay, type TestRelay } from "./harness.ts";

const minute = 60_000;
/** On a machine that is busy with something else an answer may be late; what happens then is not the matter here. */
const patienceMs = 30_000;
const down: Answer = (_, response) => response.writeHead(503).end();

let issuer: Issuer;
let relay: TestRelay;
beforeEach(async () => {
  issuer = await startIssuer({ keys: [old.jwk] });
  relay = await startRelay({
    keys: createJwks({ ...issuer, timeoutMs: patienceMs }),
    limits: { heartbeatMs: 100_000_000 },
  });
});
afterEach(async () => {
  await relay.stop();
  await issuer.stop();
});

const old = createSigner("old");
const young = createSigner("young");

const tokenBy = (signer: typeof old, sub: string, ttlSeconds = 3600) => {
  const iat = Math.floor(relay.now() / 1000);
  return signer.token({ sub, iat, exp: iat + ttlSeconds, sessions: ["demo"], scope: "session:edit session:custom" });
};

async function joinBy(signer: typeof old, sub: string, ttlSeconds?: number): Promise<Stream> {
  return await relay.join({ as: sub, token: tokenBy(signer, sub, ttlSeconds) });
}

async function endOf(signer: typeof old, sub: string) {
  const stream = await joinBy(signer, sub);
  const { fault } = await stream.ended;
  return fault;
}

/** The stream takes and hands out messages. */
async function assertLives(stream: Stream, clientSeq: bigint): Promise<void> {
  stream.send({ case: "custom", value: {} }, { clientSeq });
  assert.equal((await stream.take("ack")).clientSeq, clientSeq);
}

/** The relay's own ticker has the set asked for; nothing here does. */
async function asked(requests: number): Promise<void> {
  while (issuer.requests.length < requests) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("an issuer that changes its keys", () => {
  test("KS8 old and new overlap, then the old one goes: nobody is sent away, and streams rotate to the new one", async () => {
    const alice = await joinBy(old, "alice");
    const bob = await joinBy(old, "bob", 1200);
    await alice.take("welcome");
    await bob.take("welcome");
    await assertLives(alice, 1n);
    assert.equal(issuer.requests.length, 1);

    issuer.answers({ keys: [old.jwk, young.jwk] });
    relay.advance(5 * minute);
    await asked(2);
    const carol = await joinBy(young, "carol");
    await carol.take("welcome");
    assert.equal(issuer.requests.length, 2);
    const dave = await joinBy(old, "dave");
    await dave.take("welcome");

    issuer.answers({ keys: [young.jwk] });
    relay.advance(5 * minute);
    await asked(3);
    // No new stream on a token of the old key, also for one who has a live stream on that very token.
    while ((await endOf(old, "eve"))?.reason !== "TOKEN_INVALID");
    const refused = await endOf(old, "alice");
    assert.deepEqual(
      [refused?.reason, refused?.action, refused?.message],
      ["TOKEN_INVALID", Action.REAUTHENTICATE, "token key is not known"],
    );
    // Those that are there go on, as if nothing were.
    await assertLives(alice, 2n);
    await assertLives(bob, 1n);
    await assertLives(carol, 1n);
    await assertLives(dave, 1n);

    alice.send({ case: "tokenRotation", value: { token: tokenBy(old, "alice") } });
    const rejected = await alice.take("tokenStatus");
    assert.deepEqual([rejected.state, rejected.reason], [State.REJECTED, "token key is not known"]);
    alice.send({ case: "tokenRotation", value: { token: tokenBy(young, "alice", 7200) } });
    assert.equal((await alice.take("tokenStatus")).state, State.ACCEPTED);
    await assertLives(alice, 3n);

    // Whoever does not rotate lives to the end of the token, and comes back with one of the new key.
    relay.advance(11 * minute);
    assert.equal((await bob.ended).fault?.reason, "TOKEN_EXPIRED");
    await assertLives(alice, 4n);
    await assertLives(dave, 2n);
    await (await joinBy(young, "bob")).take("welcome");
  });

  test("KS8 a client of two carriages shows its token with each call, and renews it; the stream down lives on", async () => {
    const client = relay.client();
    const headers = (signer: typeof old) => ({ authorization: `Bearer ${tokenBy(signer, "alice")}` });
    const abort = new AbortController();
    const down = client.subscribe({ sessionId: "demo" }, { headers: headers(old), signal: abort.signal });
    const frames = down[Symbol.asyncIterator]();
    const take = async (kind: string) => {
      for (;;) {
        const next = await frames.next();
        if (next.done === true) throw new Error("ended");
        if (next.value.payload.case === kind) return next.value.payload.value;
      }
    };
    const welcome = await take("welcome");
    const resumeToken = "resumeToken" in welcome ? welcome.resumeToken : "";
    issuer.answers({ keys: [young.jwk] });
    relay.advance(5 * minute);
    await asked(2);
    while ((await endOf(old, "eve"))?.reason !== "TOKEN_INVALID");
    const message = { clientSeq: 1n, payload: { case: "custom", value: {} } } as const;
    const call = (signer: typeof old) =>
      client.publish({ sessionId: "demo", resumeToken, messages: [message] }, { headers: headers(signer) });
    const error = await call(old).then(
      () => assert.fail("was taken"),
      (caught: unknown) => ConnectError.from(caught),
    );
    assert.equal(error.findDetails(FaultSchema)[0]?.reason, "TOKEN_INVALID");
    const { replies } = await call(young);
    assert.deepEqual(
      replies.map(({ payload }) => payload.case),
      ["ack"],
    );
    await take("ack");
    abort.abort();
  });
});

describe("an issuer that is out of reach", () => {
  test("KS7 a relay starts without it, tells who comes when to come again, and takes them when it is back", async () => {
    issuer.answers(down);
    const asked = issuer.requests.length;
    const late = await startRelay({ keys: createJwks({ ...issuer, timeoutMs: patienceMs }) });
    try {
      assert.equal(issuer.requests.length, asked + 1);
      const token = tokenBy(old, "alice");
      const { fault } = await (await late.join({ token })).ended;
      assert.deepEqual(
        [fault?.code, fault?.reason, fault?.action],
        ["unavailable", "KEYS_UNAVAILABLE", Action.RECONNECT],
      );
      assert.ok((fault?.retryAfterMs ?? 0n) > 0n && (fault?.retryAfterMs ?? 0n) <= 5_000n);
      const call = late
        .client()
        .publish({ sessionId: "demo", clientId: "c" }, { headers: { authorization: `Bearer ${token}` } });
      const error = await call.then(
        () => assert.fail("was taken"),
        (caught: unknown) => ConnectError.from(caught),
      );
      assert.equal(error.findDetails(FaultSchema)[0]?.reason, "KEYS_UNAVAILABLE");
      // What needs no key to be refused is refused.
      assert.equal((await (await late.join({ token: "nonsense" })).ended).fault?.reason, "TOKEN_INVALID");
      issuer.answers({ keys: [old.jwk] });
      late.advance(5_000);
      await (await late.join({ token })).take("welcome");
    } finally {
      await late.stop();
    }
  });

  test("KS6 TL13 live streams and new ones of known keys go on; a rotation that cannot be judged is REJECTED", async () => {
    const alice = await joinBy(old, "alice");
    const { tokenExpiresAt } = await alice.take("welcome");
    issuer.answers(down);
    relay.advance(5 * minute);
    await asked(2);
    await (await joinBy(old, "bob")).take("welcome");
    relay.advance(minute);
    alice.send({ case: "tokenRotation", value: { token: tokenBy(young, "alice") } });
    const status = await alice.take("tokenStatus");
    assert.deepEqual([status.state, status.expiresAt], [State.REJECTED, tokenExpiresAt]);
    assert.match(status.reason, /^the keys that tokens are checked with cannot be had/);
    await assertLives(alice, 1n);
    const { fault } = await (await joinBy(young, "alice")).ended;
    assert.equal(fault?.reason, "KEYS_UNAVAILABLE");
    issuer.answers({ keys: [old.jwk, young.jwk] });
    relay.advance(minute);
    alice.send({ case: "tokenRotation", value: { token: tokenBy(young, "alice") } });
    assert.equal((await alice.take("tokenStatus")).state, State.ACCEPTED);
    await assertLives(alice, 2n);
  });

  test("KS11 no refusal, on a stream, of a call or in the log, tells of a token, a key or the query", async () => {
    const logs = await gatherLogs();
    try {
      const told: string[] = [];
      const tokens: string[] = [];
      const judged = async (token: string) => {
        tokens.push(token);
        const { fault } = await (await relay.join({ token })).ended;
        told.push(`${fault?.reason} ${fault?.message}`);
      };
      await judged(tokenBy(young, "PINEAPPLE"));
      issuer.answers((_, response) => response.end('{"keys":["PINEAPPLE"]}'));
      relay.advance(minute);
      await judged(tokenBy(young, "PINEAPPLE"));
      await judged(`${tokenBy(old, "PINEAPPLE").slice(0, -8)}AAAAAAAA`);
      const alice = await joinBy(old, "alice");
      await alice.take("welcome");
      for (const token of tokens) {
        alice.send({ case: "tokenRotation", value: { token } });
        told.push((await alice.take("tokenStatus")).reason);
      }
      const everything = `${told.join("\n")}\n${JSON.stringify(logs.records)}`;
      assert.equal(told.length, 6);
      assert.match(everything, /KEYS_UNAVAILABLE/);
      assert.match(everything, /cannot be fetched/);
      assert.match(everything, /token rotation refused/);
      assert.doesNotMatch(everything, /PINEAPPLE|eyJ/);
      for (const token of tokens) {
        for (const part of token.split(".")) assert.ok(!everything.includes(part.slice(0, 24)), part.slice(0, 8));
      }
      const numbers = Object.values(young.jwk).filter((value) => typeof value === "string" && value.length > 40);
      assert.equal(numbers.length, 2);
      for (const number of numbers) assert.ok(!everything.includes(String(number)));
    } finally {
      await logs.stop();
    }
  });

  test("KS6 who resumes while the issuer is down finds what was missed", async () => {
    const alice = await joinBy(old, "alice");
    const { resumeToken } = await alice.take("welcome");
    await assertLives(alice, 1n);
    issuer.answers(down);
    relay.advance(10 * minute);
    alice.cut();
    const back = await relay.join({ token: tokenBy(old, "alice"), resumeToken, lastSeq: 1n });
    assert.equal((await back.take("welcome")).outcome, Outcome.RESUMED);
  });
});
