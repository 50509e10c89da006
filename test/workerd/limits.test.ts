import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { type SessionMessage, SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { envelope } from "../bad-input/ways.ts";
import type { Payload } from "../relay/harness.ts";
import { until } from "../relay/operators.ts";
import { RawSocket, socketFrame } from "../support/raw-socket.ts";
import { missingWorkerd } from "./harness.ts";
import { startWorkerRelay, type WorkerRelay } from "./relay.ts";

const skip = missingWorkerd === "" ? false : missingWorkerd;
const messageBytes = 64 * 1024;
const userStreams = 4;

const encode = (message: Partial<Pick<SessionMessage, "sessionId" | "clientSeq">> & { readonly payload: Payload }) =>
  envelope(toBinary(SessionMessageSchema, create(SessionMessageSchema, message)));

describe(`limits of a Worker${missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`}`, { skip }, () => {
  let relay: WorkerRelay;
  before(async () => {
    relay = await startWorkerRelay({
      BATON_LIMIT_MESSAGE_BYTES: String(messageBytes),
      BATON_LIMIT_USER_STREAMS: String(userStreams),
    });
  });
  after(() => relay.stop());

  async function enter(session: string, as = session) {
    const token = await relay.token({ sub: as, sessions: [session] });
    const socket = await RawSocket.open(relay.url, { subprotocols: `baton.v1, bearer.${token}` });
    socket.send(encode({ sessionId: session, payload: { case: "join", value: {} } }));
    return socket;
  }

  const custom = (bytes: number, clientSeq = 1n) =>
    encode({ clientSeq, payload: { case: "custom", value: { type: "t", data: new Uint8Array(bytes) } } });

  async function endOf(socket: RawSocket): Promise<string> {
    while ((await socket.next()) !== undefined);
    const { code, reason } = await socket.closed;
    return `${code} ${/^[A-Z_]*/.exec(reason)?.[0]}`;
  }

  async function assertServes(): Promise<void> {
    const stream = await relay.join({ as: "somebody", session: "others" });
    await stream.take("welcome");
    stream.cut();
    await stream.ended;
  }

  test("EG29 a message over a WebSocket that is larger than allowed ends the stream MESSAGE_TOO_LARGE, whatever its size", async () => {
    for (const bytes of [messageBytes + 1, 3 * messageBytes, 3 * 1024 * 1024, 24 * 1024 * 1024]) {
      const socket = await enter(`large/${bytes}`);
      socket.send(custom(bytes));
      assert.equal(await endOf(socket), "4008 MESSAGE_TOO_LARGE", `${bytes} bytes`);
    }
    // The platform takes 32 MiB in one message; what is larger it closes itself.
    const socket = await enter("largest");
    socket.send(custom(40 * 1024 * 1024));
    assert.match(await endOf(socket), /^(1009|1006) /);
    await assertServes();
  });

  test("EG29 a client that sends far more ahead of its answers than it may is sent away", async () => {
    const socket = await enter("flood");
    // All at once: what comes in its time is taken, or refused one by one.
    const frame = socketFrame(custom(messageBytes - 1_024));
    socket.connection.write(Buffer.concat(Array.from({ length: 256 }, () => frame)));
    assert.equal(await endOf(socket), "4008 RATE_LIMITED");
    await assertServes();
  });

  test("EG28 a user's streams that vanish, one after the other, are not counted any more", async () => {
    const token = await relay.token({ sub: "vanishing", sessions: ["vanishing"] });
    for (let n = 0; n < 3 * userStreams; n++) {
      const socket = await RawSocket.open(relay.url, { subprotocols: `baton.v1, bearer.${token}` });
      socket.send(encode({ sessionId: "vanishing", payload: { case: "join", value: {} } }));
      await socket.next();
      socket.connection.destroy();
      const stream = await relay.join({ session: "vanishing", token });
      await stream.take("heartbeat");
      stream.cut();
      await stream.ended;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await until(async () => {
      const stream = await relay.join({ session: "vanishing", token });
      const first = await Promise.race([stream.take("welcome").catch(() => undefined), stream.ended]);
      stream.cut();
      return first !== undefined && "resumeToken" in first;
    });
  });
});
