// The whole relay over native gRPC, on Bun and on Node.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { type Client, status } from "@grpc/grpc-js";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import {
  Fault_Action as Action,
  CodeReviewService,
  GetSnapshotRequestSchema,
  Join_History as History,
  PublishRequestSchema,
  ReadLogRequestSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { repository } from "../cli/run-baton.ts";
import { callGrpcUnary, openGrpcClient, openGrpcStream } from "../support/grpc-js.ts";
import { edit, type Kind, type Payload, Stream, secret, startRelay, transports } from "./harness.ts";

interface Place {
  readonly url: string;
  stop(): Promise<unknown>;
}

const places: Record<string, () => Promise<Place>> = {
  Bun: () => startRelay({ listener: "node:http2" }),
  async Node() {
    const node = join(repository, "node_modules/node/bin/node");
    const child = spawn(node, [join(import.meta.dirname, "relay-process.ts")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(child.stdout, "data");
    return {
      url: String(line).trim(),
      async stop() {
        const exited = once(child, "exit");
        child.kill("SIGTERM");
        assert.deepEqual(await exited, [0, null]);
      },
    };
  },
};

const { collaborativeSession, publish, readLog, getSnapshot } = CodeReviewService.method;

const scope = "session:edit session:comment session:custom";
const tokenOf = (sub: string, session: string) =>
  signDevelopmentToken(secret, { sub, sessions: [session], scope, ttlSeconds: 3600 }, Date.now());
const headersOf = async (sub: string, session: string) => ({ authorization: `Bearer ${await tokenOf(sub, session)}` });

let sessions = 0;
const newSession = () => `grpc-${++sessions}`;

for (const [title, open] of Object.entries(places)) {
  describe(`the relay over native gRPC, on ${title}`, () => {
    let place: Place;
    let client: Client;
    before(async () => {
      place = await open();
      client = openGrpcClient(place.url);
    });
    after(async () => {
      client.close();
      await place.stop();
    });

    /** grpc-js, joined. */
    async function joinOver(session: string, sub = "alice") {
      const stream = openGrpcStream(client, collaborativeSession, { headers: await headersOf(sub, session) });
      const say = (payload: Payload, clientSeq = 0n) =>
        stream.send(create(SessionMessageSchema, { sessionId: session, payload, clientSeq }));
      const take = async (kind: SessionMessage["payload"]["case"]) =>
        (await stream.take(({ payload }) => payload.case === kind)).payload;
      say({ case: "join", value: {} });
      await take("welcome");
      return { ...stream, say, takePayload: take };
    }

    test("GR12 grpc-js joins, edits, is acked, sees another's edit, and leaves with OK", async () => {
      const session = newSession();
      const alice = await joinOver(session);
      const bob = await joinOver(session, "bob");
      alice.say(edit("a.ts", 0, 0, 0, "one"), 1n);
      const ack = await alice.takePayload("ack");
      assert.ok(ack.case === "ack");
      assert.deepEqual([ack.value.seq, ack.value.version], [1n, 1]);
      const seen = await bob.takePayload("edit");
      assert.ok(seen.case === "edit");
      assert.equal(seen.value.changes[0]?.insert, "one");
      for (const { call, ended } of [alice, bob]) {
        call.end();
        assert.equal((await ended).code, status.OK);
      }
    });

    test("GR12 grpc-js publishes, reads the log and gets the snapshot", async () => {
      const session = newSession();
      const headers = await headersOf("alice", session);
      const messages = [{ clientSeq: 1n, payload: edit("a.ts", 0, 0, 0, "text") }];
      const request = create(PublishRequestSchema, { sessionId: session, clientId: "c", messages });
      const { answer } = await callGrpcUnary(client, publish, request, { headers });
      assert.deepEqual(
        answer?.replies.map(({ payload }) => payload.case),
        ["ack"],
      );
      const log = openGrpcStream(client, readLog, { headers });
      log.send(create(ReadLogRequestSchema, { sessionId: session }));
      log.call.end();
      assert.equal((await log.take(({ payload }) => payload.case === "edit")).seq, 1n);
      assert.equal((await log.ended).code, status.OK);
      const snapshot = openGrpcStream(client, getSnapshot, { headers });
      snapshot.send(create(GetSnapshotRequestSchema, { sessionId: session }));
      snapshot.call.end();
      assert.equal((await snapshot.take()).files[0]?.content, "text");
      assert.equal((await snapshot.ended).code, status.OK);
    });

    test("GR12 without a token, and with one for another session, a call ends with its Fault", async () => {
      const session = newSession();
      const none = openGrpcStream(client, collaborativeSession);
      const { code, fault } = await none.ended;
      assert.deepEqual(
        [code, fault?.reason, fault?.action],
        [status.UNAUTHENTICATED, "TOKEN_INVALID", Action.REAUTHENTICATE],
      );
      const log = openGrpcStream(client, readLog, { headers: await headersOf("alice", "another") });
      log.send(create(ReadLogRequestSchema, { sessionId: session }));
      log.call.end();
      assert.equal((await log.ended).fault?.reason, "SESSION_FORBIDDEN");
      const request = create(PublishRequestSchema, { sessionId: session, clientId: "c" });
      const unary = await callGrpcUnary(client, publish, request, { headers: await headersOf("alice", "another") });
      assert.deepEqual([unary.end.code, unary.end.fault?.reason], [status.PERMISSION_DENIED, "SESSION_FORBIDDEN"]);
    });

    test("GR12 a refused message is a Fault on a call that lives", async () => {
      const session = newSession();
      const alice = await joinOver(session);
      alice.say(edit("a.ts", 7, 0, 0, "x"), 1n);
      const refused = await alice.takePayload("fault");
      assert.ok(refused.case === "fault");
      assert.equal(refused.value.reason, "FILE_NOT_FOUND");
      alice.say(edit("a.ts", 0, 0, 0, "x"), 1n);
      await alice.takePayload("ack");
      alice.call.cancel();
    });

    test("GR13 one session is held over every protocol of the port at once, in one order", async () => {
      const session = newSession();
      // Of WebSockets Bun's second port serves none.
      const kinds = Object.keys(transports).filter(
        (name): name is Kind => Object.hasOwn(transports, name) && !name.startsWith("websocket"),
      );
      const each = 5;
      const streams = await Promise.all(
        kinds.map(async (kind) => {
          const service = createClient(CodeReviewService, transports[kind](place.url));
          const stream = new Stream(service, await tokenOf(kind, session));
          stream.send({ case: "join", value: { history: History.FULL } }, { sessionId: session });
          await stream.take("welcome");
          return stream;
        }),
      );
      for (let n = 1; n <= each; n++) {
        for (const stream of streams) {
          stream.send({ case: "custom", value: { type: `${n}` } }, { clientSeq: BigInt(n) });
        }
      }
      const orders = await Promise.all(
        streams.map(async (stream, index) => {
          const order: string[] = [];
          for (let n = 0; n < each; n++) order[Number((await stream.take("ack")).seq)] = `${kinds[index]}`;
          for (let n = 0; n < each * (streams.length - 1); n++) {
            const message = await stream.takeMessage("custom");
            order[Number(message.seq)] = message.userId;
          }
          return order.slice(1);
        }),
      );
      assert.ok(kinds.length >= 5);
      assert.equal(orders[0]?.length, each * streams.length);
      for (const order of orders) assert.deepEqual(order, orders[0]);
      for (const stream of streams) {
        stream.finish();
        assert.equal((await stream.ended).error, undefined);
      }
    });
  });
}
