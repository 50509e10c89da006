import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";
import { describe, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CarriageKind, carriageKinds, carriageTo, createRelayClient } from "../../src/cli/relay-transport.ts";
import { readTail } from "../../src/client/read-tail.ts";
import {
  type ConnectionOptions,
  type Interruption,
  SessionConnection,
  type TokenNeed,
} from "../../src/client/session-connection.ts";
import {
  FaultSchema,
  Join_History as History,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { SessionClient } from "../../src/session/client/client.ts";
import type { ClientEvent } from "../../src/session/client/effects.ts";
import { changeSet, textContent } from "../../src/session/text.ts";
import { startRelay, type TestRelay } from "../relay/harness.ts";

/** Longer than any test. */
const never = 2 ** 31 - 1;

type Options = ConnectionOptions<SessionClient, ClientEvent>;

interface Seat {
  readonly relay: TestRelay;
  readonly url?: string;
  readonly as?: string;
  readonly clientId?: string;
  readonly kind?: CarriageKind;
  readonly token?: Options["token"];
  readonly onReconnect?: Options["onReconnect"];
}

/** A client on a connection, and all that it was told. */
function sit({ relay, url = relay.url, as = "alice", clientId = as, kind = "bidi", token, onReconnect }: Seat) {
  const machine = new SessionClient({ sessionId: "demo", clientId });
  const events: ClientEvent[] = [];
  const interruptions: Interruption[] = [];
  const wakers = new Set<() => void>();
  let names = 0;
  const connection = new SessionConnection<SessionClient, ClientEvent>({
    machine,
    carriage: carriageTo(url, kind),
    token: token ?? (() => relay.token({ sub: as })),
    readTail: (fromSeq, jwt) => readTail(createRelayClient(url), { session: "demo", fromSeq, token: jwt }),
    newClientId: () => `${as}-${++names}`,
    onEvent: (event) => {
      events.push(event);
      for (const wake of [...wakers]) wake();
    },
    onReconnect: (attempt, waitMs, interruption) => {
      interruptions.push(interruption);
      return onReconnect?.(attempt, waitMs, interruption) ?? true;
    },
  });
  connection.open();
  const sees = async (holds: () => boolean) => {
    while (!holds()) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          wakers.delete(wake);
          resolve();
        };
        wakers.add(wake);
      });
    }
  };
  const times = (kind: ClientEvent["kind"]) => events.filter((event) => event.kind === kind).length;
  return {
    machine,
    connection,
    events,
    interruptions,
    sees,
    times,
    lived: (count = 1) => sees(() => times("live") >= count),
    type: (insert: string) =>
      connection.act((client) =>
        client.edit("a.ts", changeSet(client.text("a.ts")?.length ?? 0, [{ from: 0, to: 0, insert }])),
      ),
    text: () => {
      const text = machine.text("a.ts");
      return text === undefined ? undefined : textContent(text);
    },
  };
}

/** Connections to a port that can be frozen: nothing goes through any more, and nobody is told. */
async function startTunnel(port: number) {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = dial(port, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => undefined);
      one.on("close", () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    freeze() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe("a session's connection", () => {
  for (const kind of carriageKinds) {
    test(`CL41 a stream that is cut is resumed: what was done meanwhile arrives once, ${kind}`, async () => {
      const relay = await startRelay();
      const alice = sit({ relay, kind });
      const bob = sit({ relay, as: "bob", kind });
      await Promise.all([alice.lived(), bob.lived()]);
      for (let round = 1; round <= 3; round++) {
        alice.type(`before${round} `);
        alice.connection.interrupt();
        alice.type(`after${round} `);
        await alice.lived(round + 1);
        await alice.sees(() => alice.machine.settled);
      }
      await bob.sees(() => bob.text() === alice.text());
      assert.equal(bob.text(), "after3 before3 after2 before2 after1 before1 ");
      alice.connection.close(1_000);
      bob.connection.close(1_000);
      assert.deepEqual(await alice.connection.stopped, { kind: "closed" });
      await bob.connection.stopped;
      await relay.stop();
    });

    test(`CL42 closing answers what was sent before, ${kind}`, async () => {
      const relay = await startRelay();
      const alice = sit({ relay, kind });
      await alice.lived();
      for (let index = 0; index < 20; index++) {
        alice.connection.act((client) => client.custom("n", new Uint8Array([index])));
      }
      alice.connection.close(never);
      assert.deepEqual(await alice.connection.stopped, { kind: "closed" });
      const records = await readTail(createRelayClient(relay.url), {
        session: "demo",
        fromSeq: 5,
        token: await relay.token(),
      });
      assert.deepEqual(
        records.map(({ seq }) => Number(seq)),
        Array.from({ length: 16 }, (_, index) => 5 + index),
      );
      await relay.stop();
    });
  }

  for (const kind of carriageKinds) {
    test(`CL43 a connection that went silent is left for another one, ${kind}`, async () => {
      const relay = await startRelay({ limits: { heartbeatMs: 1_000 } });
      const tunnel = await startTunnel(Number(new URL(relay.url).port));
      const alice = sit({ relay, url: tunnel.url, kind });
      await alice.lived();
      tunnel.freeze();
      alice.type("typed into the void");
      await alice.lived(2);
      await alice.sees(() => alice.machine.settled);
      assert.equal(alice.text(), "typed into the void");
      assert.ok(alice.interruptions.length > 0);
      alice.connection.close(1_000);
      await alice.connection.stopped;
      tunnel.stop();
      await relay.stop();
    });
  }

  test("CL44 after a refused token another is asked for; two refusals in a row are the end", async () => {
    const relay = await startRelay();
    const needs: TokenNeed[] = [];
    const expired = () => relay.token({ ttlSeconds: 10, nowMs: relay.now() - 3_600_000 });
    const alice = sit({
      relay,
      token: async (need) => {
        needs.push(need);
        return need === "refused" ? relay.token() : expired();
      },
    });
    await alice.lived();
    assert.deepEqual(needs, ["join", "refused"]);
    alice.connection.close(1_000);
    await alice.connection.stopped;
    const bob = sit({ relay, as: "bob", token: expired });
    const stop = await bob.connection.stopped;
    assert.equal(stop.kind, "refused");
    assert.equal(stop.kind === "refused" && stop.end.fault?.reason, "TOKEN_EXPIRED");
    const carol = sit({ relay, as: "carol", token: async (need) => (need === "join" ? expired() : undefined) });
    assert.equal((await carol.connection.stopped).kind, "refused");
    assert.equal(carol.times("welcome"), 0);
    await relay.stop();
  });

  test("CL44 a token that cannot be had now is asked for again", async () => {
    const relay = await startRelay();
    let asked = 0;
    const alice = sit({
      relay,
      token: async () => {
        asked += 1;
        if (asked === 1) throw new Error("the issuer is away");
        return relay.token();
      },
    });
    await alice.lived();
    assert.equal(asked, 2);
    alice.connection.close(1_000);
    await alice.connection.stopped;
    await relay.stop();
  });

  test("CL31 superseded: what was sent is looked up in the log, and nothing is there twice", async () => {
    const relay = await startRelay();
    const first = sit({ relay, clientId: "tab" });
    await first.lived();
    first.type("one ");
    first.connection.act((client) => client.custom("n", new Uint8Array([1])));
    const second = sit({ relay, clientId: "tab" });
    await Promise.all([second.lived(), first.lived(2)]);
    first.type("two ");
    await first.sees(() => first.machine.settled);
    assert.equal(first.machine.clientId, "alice-1");
    assert.equal(second.machine.clientId, "tab");
    await second.sees(() => second.text() === "two one ");
    const records = await readTail(createRelayClient(relay.url), {
      session: "demo",
      fromSeq: 1,
      token: await relay.token(),
    });
    assert.deepEqual(
      records.map(({ payload }) => payload.case),
      ["edit", "custom", "edit"],
    );
    first.connection.close(1_000);
    second.connection.close(1_000);
    await Promise.all([first.connection.stopped, second.connection.stopped]);
    await relay.stop();
  });

  test("CL31 superseded with work in flight: the log's tail says what of it arrived", async () => {
    // A relay that logs the first message, and ends the stream before it could say so.
    const sent: SessionMessage[] = [];
    const message = (fields: MessageInitShape<typeof SessionMessageSchema>) =>
      create(SessionMessageSchema, { sessionId: "demo", userId: "alice", ...fields });
    const machine = new SessionClient({ sessionId: "demo", clientId: "tab", history: History.FULL });
    const events: ClientEvent[] = [];
    const asked: number[] = [];
    const lived = Promise.withResolvers<void>();
    const settled = Promise.withResolvers<void>();
    const connection = new SessionConnection<SessionClient, ClientEvent>({
      machine,
      token: async () => "token",
      newClientId: () => "other",
      onEvent(event) {
        events.push(event);
        if (event.kind === "live") lived.resolve();
      },
      async readTail(fromSeq) {
        asked.push(fromSeq);
        const [first] = sent;
        return first === undefined ? [] : [message({ ...first, seq: 1n, userId: "alice", clientId: "tab" })];
      },
      carriage({ join, listener }) {
        const clientId = join.payload.case === "join" ? join.payload.value.clientId : "";
        if (clientId === "other") settled.resolve();
        else {
          queueMicrotask(() =>
            listener.received(message({ payload: { case: "welcome", value: { epoch: "e", clientId } } })),
          );
        }
        return {
          send(one) {
            sent.push(one);
            if (sent.length === 2) {
              queueMicrotask(() =>
                listener.ended({ code: "aborted", fault: create(FaultSchema, { reason: "SUPERSEDED" }) }),
              );
            }
          },
          rotate: () => undefined,
          finish: () => undefined,
          cut: () => undefined,
        };
      },
    });
    connection.open();
    await lived.promise;
    for (const type of ["arrived", "lost"]) connection.act((client) => client.custom(type, new Uint8Array()));
    await settled.promise;
    assert.deepEqual(asked, [1]);
    const acked = events.flatMap((event) => (event.kind === "acked" ? [event.payload.value] : []));
    assert.deepEqual(
      acked.map((value) => "type" in value && value.type),
      ["arrived"],
    );
    assert.equal(events.filter(({ kind }) => kind === "uncertain").length, 0);
    assert.equal(machine.settled, false);
    connection.close(0);
    await connection.stopped;
  });

  test("CL29 an attempt that the application does not want is not made", async () => {
    const relay = await startRelay();
    const { url } = relay;
    await relay.stop();
    for (const kind of carriageKinds) {
      const alice = sit({ relay, url, kind, onReconnect: () => false });
      const stop = await alice.connection.stopped;
      assert.equal(stop.kind, "refused");
      if (stop.kind !== "refused") return;
      assert.equal(stop.everJoined, false);
      assert.equal(stop.end.fault, undefined);
      assert.match(`${stop.end.systemCode ?? stop.end.code}`, /REFUSED|Refused|unavailable/, kind);
    }
  });
});
