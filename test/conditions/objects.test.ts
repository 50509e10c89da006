import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ConnectError } from "@connectrpc/connect";
import { z } from "zod";
import { splitCarriage } from "../../src/client/carriage-split.ts";
import { SessionConnection } from "../../src/client/session-connection.ts";
import {
  Fault_Action as Action,
  FaultSchema,
  type SessionMessage,
  PresenceUpdate_Status as Status,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { SessionClient } from "../../src/session/client/client.ts";
import type { ClientEvent } from "../../src/session/client/effects.ts";
import { readRecords } from "../../trial/log.ts";
import { until } from "../../trial/until.ts";
import { typeTogether } from "../relay/edge/typing.ts";
import { edit } from "../relay/harness.ts";
import { createRandom } from "../support/random.ts";
import type { Fate } from "../workerd/fate.ts";
import { missingWorkerd } from "../workerd/harness.ts";
import { startWorkerRelay, type WorkerRelay } from "../workerd/relay.ts";

const note = missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`;
const allowed = "https://app.example.com";
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const madeSchema = z.object({ calls: z.number(), alarms: z.number() });
const custom = (type: string) => ({ case: "custom", value: { type } }) as const;
const typesOf = (records: readonly SessionMessage[]) =>
  records.map(({ payload }) => (payload.case === "custom" ? payload.value.type : payload.case));

describe(`what happens to a session's object in workerd${note}`, { skip: missingWorkerd !== "" }, () => {
  let relay: WorkerRelay;
  before(async () => {
    const entry = fileURLToPath(new URL("../workerd/fateful-worker.ts", import.meta.url));
    const variables = { BATON_LIMIT_LEAVE_GRACE_MS: "300", BATON_ALLOWED_ORIGINS: allowed };
    relay = await startWorkerRelay(variables, { worker: { entry, session: "FatefulSession" } });
  });
  after(() => relay.stop());

  const meets = async (session: string, fate: Fate) => {
    const { ok } = await fetch(`${relay.url}/fate/${session}`, { method: "POST", body: JSON.stringify(fate) });
    assert.ok(ok);
  };
  const made = async (session: string) => madeSchema.parse(await (await fetch(`${relay.url}/fate/${session}`)).json());
  const recordsOf = async (session: string) =>
    await readRecords(relay.client(), session, await relay.token({ sub: "reader", sessions: [session] }));
  /** Two who have joined, of whom the other has heard of the first. */
  const couple = async (session: string) => {
    const alice = await relay.join({ as: "alice", session, clientId: "a" });
    const { resumeToken } = await alice.take("welcome");
    const bob = await relay.join({ as: "bob", session, clientId: "b" });
    await bob.take("welcome");
    alice.send(edit("a.ts", 0, 0, 0, "one"), { clientSeq: 1n });
    await alice.take("ack");
    await bob.take("edit");
    return { alice, bob, resumeToken };
  };
  const loggedKinds = (received: readonly SessionMessage[]) =>
    received.map(({ payload }) => payload.case).filter((kind) => kind === "ack" || kind === "edit");

  test("BC1 an instance that is ended in the middle of an event does nothing more, also where it was only waiting", async () => {
    const { alice, bob, resumeToken } = await couple("zombie");
    await meets("zombie", { kind: "lingers", ms: 400 });
    alice.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 2n });
    // It is with the object once that has answered somebody who came later.
    await pause(50);
    await made("zombie");
    await relay.workerd.abortObjects();
    for (const stream of [alice, bob]) assert.equal((await stream.ended).fault?.reason, "LOG_UNAVAILABLE");
    const back = await relay.join({ as: "alice", session: "zombie", resumeToken, lastSeq: 1n, pendingFrom: 2n });
    assert.equal((await back.take("welcome")).lastClientSeq, 1n);
    const there = await relay.join({ as: "bob", session: "zombie", clientId: "b2" });
    await there.take("welcome");
    back.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 2n });
    assert.equal((await back.take("ack")).seq, 2n);
    await there.take("edit");
    await pause(500);
    assert.equal((await recordsOf("zombie")).length, 2);
    for (const { received } of [alice, bob, back, there]) assert.deepEqual(loggedKinds(received), []);
    back.cut();
    there.cut();
  });

  test("BC2 nobody is told what an object wrote that ends before the write is durable", async () => {
    const { alice, bob, resumeToken } = await couple("gate");
    await meets("gate", { kind: "dies while it tells", links: 2 });
    alice.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 2n });
    for (const stream of [alice, bob]) {
      assert.equal((await stream.ended).fault?.reason, "LOG_UNAVAILABLE");
      assert.deepEqual(loggedKinds(stream.received), []);
    }
    assert.equal((await recordsOf("gate")).length, 1);
    const back = await relay.join({ as: "alice", session: "gate", resumeToken, lastSeq: 1n, pendingFrom: 2n });
    assert.equal((await back.take("welcome")).lastClientSeq, 1n);
    back.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 2n });
    assert.equal((await back.take("ack")).seq, 2n);
    back.cut();
  });

  test("BC3 an alarm that failed comes again, and one that comes twice tells nothing twice", async () => {
    const { alice, bob } = await couple("alarms");
    await meets("alarms", { kind: "alarms go wrong" });
    const { alarms } = await made("alarms");
    bob.cut();
    const isLeft = ({ payload, userId }: SessionMessage) =>
      userId === "bob" && payload.case === "presence" && payload.value.status === Status.LEFT;
    await alice.takeMessage("presence", isLeft);
    assert.equal((await made("alarms")).alarms, alarms + 2);
    alice.send(edit("a.ts", 1, 3, 3, " two"), { clientSeq: 2n });
    await alice.take("ack");
    assert.equal(alice.received.filter(isLeft).length, 0);
    alice.cut();
  });

  test("BC4 an overloaded object is asked once; whoever asked is refused OVERLOADED, and comes back when told", async () => {
    const session = "overloaded";
    const { alice, resumeToken } = await couple(session);
    const headers = { authorization: `Bearer ${await relay.token({ sub: "alice", sessions: [session] })}` };
    const publish = () =>
      relay
        .client()
        .publish({ sessionId: session, resumeToken, messages: [{ clientSeq: 2n, payload: custom("p") }] }, { headers });
    const overloaded: Fate = {
      kind: "calls fail",
      when: "before",
      times: 1,
      marks: { overloaded: true, retryable: true },
    };
    await meets(session, overloaded);
    const { calls } = await made(session);
    await assert.rejects(publish(), (error) => {
      assert.ok(error instanceof ConnectError);
      const [fault] = error.findDetails(FaultSchema);
      assert.deepEqual(
        [fault?.reason, fault?.code, fault?.action],
        ["OVERLOADED", "resource_exhausted", Action.RECONNECT],
      );
      assert.ok((fault?.retryAfterMs ?? 0n) >= 2_000n);
      return true;
    });
    assert.equal((await made(session)).calls, calls + 1);
    const { replies } = await publish();
    assert.equal(replies[0]?.payload.case, "ack");

    await meets(session, overloaded);
    const late = await relay.join({ as: "carol", session });
    const { error, fault } = await late.ended;
    assert.deepEqual([fault?.reason, error?.code], ["OVERLOADED", 8]);
    assert.ok((fault?.retryAfterMs ?? 0n) >= 2_000n);
    assert.equal((await made(session)).calls, calls + 3);
    assert.equal((await recordsOf(session)).length, 2);
    alice.cut();
  });

  test("BC4 a participant of the SDK waits as long as it was told, and its message is in the log once", async () => {
    const session = "patient";
    const { alice } = await couple(session);
    const client = relay.client();
    const waits: number[] = [];
    const acked: number[] = [];
    const machine = new SessionClient({ sessionId: session, clientId: "sdk", clientName: "test" });
    const connection = new SessionConnection<SessionClient, ClientEvent>({
      machine,
      carriage: splitCarriage(client, Date.now),
      token: () => relay.token({ sub: "sdk", sessions: [session] }),
      readTail: async () => [],
      newClientId: () => "sdk2",
      onReconnect: (_attempt, waitMs) => waits.push(waitMs) > 0,
      onEvent(event) {
        if (event.kind === "acked") acked.push(event.seq);
      },
    });
    connection.open();
    await until("it is in the session", () => machine.phase.kind === "live");
    await meets(session, { kind: "calls fail", when: "before", times: 1, marks: { overloaded: true } });
    const { calls } = await made(session);
    connection.act((one) => one.custom("mine", new Uint8Array(0)));
    await until("it is acked", () => acked.length === 1);
    connection.close(0);
    assert.ok(waits.length === 1 && (waits[0] ?? 0) >= 2_000, String(waits));
    // The one that failed; the way back in; and, where the resume left something to say, that.
    assert.ok((await made(session)).calls <= calls + 3);
    assert.deepEqual(typesOf(await recordsOf(session)), ["edit", "mine"]);
    alice.cut();
  });

  for (const when of ["before", "after"] as const) {
    test(`BC5 a call that fails ${when} it was done, nobody knows which, is made again by a new stub: each line once`, async () => {
      const random = createRandom(when === "before" ? 51 : 52);
      const session = `unknown-${when}`;
      let failures = 0;
      const { resumed } = await typeTogether({
        url: relay.url,
        session,
        kind: "connect-h1",
        lines: 12,
        random,
        carriages: ["split", "split", "bidi"],
        async between(typed) {
          if (typed % 9 !== 0) return;
          failures += 1;
          await meets(session, { kind: "calls fail", when, times: 1, marks: { retryable: true } });
        },
      });
      assert.ok(failures >= 3 && resumed >= 1, `${failures} failures, ${resumed} resumed`);
    });
  }

  test("BC20 a page of a foreign origin gets no further than the gateway: 403 for a call and for a WebSocket, and no object is made", async () => {
    const token = await relay.token({ sessions: ["foreign"] });
    const path = "/codereview.v1.CodeReviewService/CollaborativeSession";
    const call = async (origin: string) => {
      const headers = { origin, authorization: `Bearer ${token}`, "content-type": "application/json" };
      const url = `${relay.url}/codereview.v1.CodeReviewService/GetSnapshot`;
      return (await fetch(url, { method: "POST", headers, body: '{"sessionId":"foreign"}' })).status;
    };
    const handshake = (origin: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = {
          connection: "upgrade",
          upgrade: "websocket",
          "sec-websocket-version": "13",
          "sec-websocket-key": Buffer.alloc(16, 1).toString("base64"),
          "sec-websocket-protocol": `baton.v1, bearer.${token}`,
          origin,
        };
        const asked = request(relay.url + path, { headers });
        asked.on("error", reject);
        asked.on("response", (response) => resolve(response.resume().statusCode));
        asked.on("upgrade", ({ statusCode }, socket) => {
          socket.destroy();
          resolve(statusCode);
        });
        asked.end();
      });
    const foreign = [
      "https://evil.example",
      "https://evil-app.example.com",
      "https://app.example.com.evil.example",
      "https://app.example.com:8443",
      "http://app.example.com",
      "https://xapp.example.com",
      "http://127.0.0.1",
      "null",
    ];
    for (const origin of foreign) assert.deepEqual([await call(origin), await handshake(origin)], [403, 403], origin);
    assert.equal((await made("foreign")).calls, 0);
    for (const origin of [allowed, relay.url]) {
      assert.notEqual(await call(origin), 403, origin);
      assert.equal(await handshake(origin), 101, origin);
    }
  });
});
