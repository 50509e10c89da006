import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { type WebSocket as ServerSide, WebSocketServer } from "ws";
import { carriageTo } from "../../src/cli/relay-transport.ts";
import type { CarriageEnd } from "../../src/client/carriage.ts";
import { chooseCarriage } from "../../src/client/carriage-choice.ts";
import { type SocketAddress, socketCarriage } from "../../src/client/carriage-socket.ts";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { startRelay, type TestRelay } from "../relay/harness.ts";

const join = (sessionId = "demo") =>
  create(SessionMessageSchema, { sessionId, payload: { case: "join", value: { clientId: "c" } } });
const custom = (clientSeq: bigint) =>
  create(SessionMessageSchema, { clientSeq, payload: { case: "custom", value: { type: "t" } } });

/** What a carriage tells. */
function listen() {
  const received: SessionMessage[] = [];
  const watchers = new Set<() => void>();
  const ended = Promise.withResolvers<CarriageEnd>();
  return {
    received,
    ended: ended.promise,
    async sees(kind: SessionMessage["payload"]["case"]) {
      while (!received.some(({ payload }) => payload.case === kind)) {
        await new Promise<void>((resolve) => watchers.add(resolve));
      }
    },
    listener: {
      received(message: SessionMessage) {
        received.push(message);
        for (const watch of watchers) watch();
      },
      replied: () => assert.fail("a socket has no replies"),
      publishEnded: () => assert.fail("a socket has no Publish"),
      ended: (end: CarriageEnd) => ended.resolve(end),
    },
  };
}

describe("a session over a WebSocket", () => {
  let relay: TestRelay;
  before(async () => {
    relay = await startRelay();
  });
  after(() => relay.stop());

  test("WK13 it joins, says, is answered, and ends OK once it has finished", async () => {
    const told = listen();
    const stream = socketCarriage({ url: relay.url })({
      join: join(),
      token: await relay.token(),
      listener: told.listener,
    });
    await told.sees("welcome");
    stream.send(custom(1n));
    stream.finish();
    assert.deepEqual(await told.ended, {});
    assert.ok(told.received.some(({ payload }) => payload.case === "ack" && payload.value.clientSeq === 1n));
  });

  test("WK13 an end comes with its Fault", async () => {
    const told = listen();
    socketCarriage({ url: relay.url })({ join: join(), token: "a.b.c", listener: told.listener });
    const end = await told.ended;
    assert.deepEqual([end.code, end.fault?.reason], ["unauthenticated", "TOKEN_INVALID"]);
    assert.deepEqual(
      told.received.map(({ payload }) => payload.case),
      ["heartbeat"],
    );
  });

  test("WK13 a token that is no subprotocol is told as an end, behind the call", async () => {
    const told = listen();
    let isReturned = false;
    void told.ended.then(() => assert.ok(isReturned));
    const stream = socketCarriage({ url: relay.url })({ join: join(), token: "a b", listener: told.listener });
    isReturned = true;
    stream.send(custom(1n));
    stream.finish();
    stream.cut();
    assert.notEqual((await told.ended).code, undefined);
  });

  test("WK13 what is sent or rotated before it is open goes in order; what comes once it is cut is dropped", async () => {
    const told = listen();
    const stream = socketCarriage({ url: relay.url })({
      join: join(),
      token: await relay.token(),
      listener: told.listener,
    });
    stream.send(custom(2n));
    stream.rotate(await relay.token());
    await told.sees("tokenStatus");
    stream.cut();
    const { length } = told.received;
    stream.send(custom(3n));
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(told.received.length, length);
  });

  test("WK2 WK13 where headers can be set, the token may go in one", async () => {
    const asked: SocketAddress[] = [];
    const told = listen();
    const stream = socketCarriage({
      url: relay.url,
      openSocket(address) {
        asked.push(address);
        const options = { protocols: [address.subprotocol], headers: { authorization: `Bearer ${address.token}` } };
        return Reflect.construct(WebSocket, [address.url, options]);
      },
    })({ join: join(), token: await relay.token(), listener: told.listener });
    await told.sees("welcome");
    assert.equal(asked[0]?.url.protocol, "ws:");
    stream.cut();
  });

  test("WK14 through a proxy that knows no WebSocket and no HTTP/2, the choice comes to a stream down and calls up", async () => {
    const target = new URL(relay.url);
    // What it does not know it hands on as a plain request, as old proxies do; what is both ways it keeps until it is whole.
    const proxy = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      const { connection: _, upgrade: __, host: ___, "content-length": ____, ...headers } = request.headers;
      const answer = await fetch(new URL(request.url ?? "", target), {
        method: request.method ?? "GET",
        headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
        ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
      });
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      for await (const piece of answer.body ?? []) response.write(piece);
      response.end();
    });
    const sockets = new Set<Socket>();
    proxy.on("connection", (socket) => sockets.add(socket));
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const address = proxy.address();
    assert.ok(address !== null && typeof address === "object");
    const url = `http://127.0.0.1:${address.port}`;
    const told = listen();
    const stream = carriageTo(url, "auto")({ join: join(), token: await relay.token(), listener: told.listener });
    await told.sees("welcome");
    stream.cut();
    const [participant] = relay.relay.rooms.present("demo")?.participants.values() ?? [];
    assert.equal(participant?.carriage, "split");
    for (const socket of sockets) socket.destroy();
    proxy.close();
  });

  test("WK14 one that takes a call and never answers is left in time", async () => {
    const silent = createServer(() => undefined);
    silent.on("upgrade", () => undefined);
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    assert.ok(address !== null && typeof address === "object");
    const told = listen();
    const choice = chooseCarriage(
      [
        { name: "broken", carriage: socketCarriage({ url: `http://127.0.0.1:${address.port}` }) },
        { name: "sound", carriage: socketCarriage({ url: relay.url }) },
      ],
      { firstFrameMs: 100 },
    );
    const stream = choice({ join: join(), token: await relay.token(), listener: told.listener });
    await told.sees("welcome");
    stream.cut();
    silent.closeAllConnections();
    silent.close();
  });
});

describe("what a close frame says", () => {
  /** A server that speaks as it is told to. */
  async function against(speak: (socket: ServerSide) => void): Promise<CarriageEnd & { readonly kinds: unknown[] }> {
    const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "baton.v1" });
    server.on("connection", speak);
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    const told = listen();
    socketCarriage({ url: `http://127.0.0.1:${address.port}` })({ join: join(), token: "t", listener: told.listener });
    const end = await told.ended;
    for (const client of server.clients) client.terminate();
    server.close();
    return { ...end, kinds: told.received.map(({ payload }) => payload.case) };
  }

  test("WK13 1000 is OK, 4000 and a number that code, 1009 MESSAGE_TOO_LARGE, any other a connection that was lost", async () => {
    const ends = [];
    for (const code of [1000, 4016, 4004, 1009, 1001, 1011, 3000, 4000, 4017, 4999]) {
      const { code: name, fault, message } = await against((socket) => socket.close(code, "WHY: so"));
      ends.push([code, name, fault?.reason]);
      if (code === 4016) assert.equal(message, "WHY: so");
    }
    assert.deepEqual(ends, [
      [1000, undefined, undefined],
      [4016, "unauthenticated", undefined],
      [4004, "deadline_exceeded", undefined],
      [1009, "resource_exhausted", "MESSAGE_TOO_LARGE"],
      [1001, "unavailable", undefined],
      [1011, "unavailable", undefined],
      [3000, "unavailable", undefined],
      [4000, "unavailable", undefined],
      [4017, "unavailable", undefined],
      [4999, "unavailable", undefined],
    ]);
    assert.equal((await against((socket) => socket.terminate())).code, "unavailable");
  });

  test("WK13 what is no message of the contract ends the stream, told once", async () => {
    const sound = encodeEnvelope(0, toBinary(SessionMessageSchema, custom(1n)));
    for (const wrong of ["text", sound.subarray(0, 3), sound.subarray(0, -1), encodeEnvelope(0, Uint8Array.of(0xff))]) {
      const { code, kinds } = await against((socket) => {
        socket.send(sound);
        socket.send(wrong);
        socket.send(sound);
      });
      assert.notEqual(code, undefined);
      assert.deepEqual(kinds, ["custom"]);
    }
  });

  test("WK13 several frames in one message are as many messages", async () => {
    const one = encodeEnvelope(0, toBinary(SessionMessageSchema, custom(1n)));
    const { kinds } = await against((socket) => {
      socket.send(Buffer.concat([one, one, one]));
      socket.close(1000);
    });
    assert.deepEqual(kinds, ["custom", "custom", "custom"]);
  });
});
