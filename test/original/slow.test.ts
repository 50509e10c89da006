import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { fromJsonString } from "@bufbuild/protobuf";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import { textContent } from "../../src/session/text.ts";
import { edit, Stream, startRelay as startOurs } from "../relay/harness.ts";
import { LinesClient } from "../session/original/lines-client.ts";
import { type OriginalRelay, startRelay } from "./harness.ts";

let relay: OriginalRelay;
before(async () => {
  relay = await startRelay({
    heartbeatMs: 100_000_000,
    messagesPerSecond: 1e6,
    messagesBurst: 1e6,
    ringBytes: 256 * 1024,
  });
});
after(() => relay.stop());

/** A client of the original contract over HTTP/1.1 and JSON, which reads nothing until it is told to. */
async function joinAndStop(user: string) {
  const { hostname, port } = new URL(relay.url);
  const socket = net.connect(Number(port), hostname);
  socket.on("error", () => undefined);
  const { promise: joined, resolve } = Promise.withResolvers<void>();
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    resolve();
  });
  const body = JSON.stringify({ sessionId: "demo", presence: { status: "JOINED" } });
  const frame = Buffer.alloc(5 + body.length);
  frame.writeUInt32BE(body.length, 1);
  frame.write(body, 5);
  const head = [
    "POST /codereview.v1.CodeReviewService/CollaborativeSession HTTP/1.1",
    "host: test",
    "content-type: application/connect+json",
    `authorization: Bearer ${await relay.token({ sub: user })}`,
    "transfer-encoding: chunked",
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n${frame.length.toString(16)}\r\n`);
  socket.write(frame);
  socket.write("\r\n");
  await joined;
  await until(() => participantOf(user) !== undefined);
  socket.pause();
  return { socket, received: () => Buffer.concat(chunks) };
}

/** The body of an HTTP/1.1 response in chunks. */
function bodyOf(response: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = response.indexOf("\r\n\r\n") + 4; at < response.length; ) {
    const line = response.indexOf("\r\n", at);
    if (line === -1) break;
    const length = Number.parseInt(response.subarray(at, line).toString("latin1"), 16);
    pieces.push(response.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
  return Buffer.concat(pieces);
}

function showOf(response: Buffer): LinesClient {
  const client = new LinesClient();
  const envelopes = createEnvelopeReader(1 << 30);
  envelopes.push(bodyOf(response));
  for (let data = envelopes.take(); data !== undefined; data = envelopes.take()) {
    const message = fromJsonString(SessionMessageSchema, new TextDecoder().decode(data));
    if (message.payload.case !== "heartbeat") client.hear(message);
  }
  return client;
}

const participantOf = (user: string) =>
  [...(relay.relay.rooms.present("demo")?.participants.values() ?? [])].find(
    ({ identity }) => identity.userId === user,
  );

/** Whether it is behind, and has taken nothing for a while. */
async function isStuck(user: string): Promise<boolean> {
  const since = participantOf(user)?.reader.blockedSinceMs;
  if (since === undefined) return false;
  await new Promise((resolve) => setTimeout(resolve, 200));
  return participantOf(user)?.reader.blockedSinceMs === since;
}

async function until(holds: () => boolean): Promise<void> {
  for (let waits = 0; waits < 1_000; waits++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("it did not come to be");
}

describe("a client of the original contract that reads slowly", () => {
  test("OC16 costs the others nothing, is told together what gathered, and ends when it takes nothing", async () => {
    const slow = await joinAndStop("slow");
    const ours = await relay.join({ as: "ours" });
    const lines = Array.from({ length: 5_000 }, (_, index) => `${index} ${"x".repeat(2)}`);
    ours.send(edit("a.ts", 0, 0, 0, lines.join("\n")), { clientSeq: 1n });
    await ours.take("ack");
    // Each of these is all lines to it: 100 times 300 KB.
    for (let n = 1; n <= 100; n++) {
      ours.send(edit("a.ts", n, 0, 0, `new ${n}\n`), { clientSeq: BigInt(n + 1) });
      await ours.take("ack");
    }
    await until(() => participantOf("slow")?.reader.blockedSinceMs !== undefined);
    const text = relay.relay.rooms.present("demo")?.state.files.get("a.ts")?.text;
    assert.ok(text !== undefined);
    slow.socket.resume();
    await until(() => participantOf("slow")?.reader.drained === true && slow.received().includes("new 100"));
    assert.equal(showOf(slow.received()).lines("a.ts").join("\n"), textContent(text));
    const megabytes = slow.received().length / 1e6;
    assert.ok(megabytes < 40, `${megabytes} MB`);
    slow.socket.pause();
    for (let n = 101; !(await isStuck("slow")); n++) {
      ours.send(edit("a.ts", n, 0, 0, `new ${n}\n`), { clientSeq: BigInt(n + 1) });
      await ours.take("ack");
    }
    relay.advance(29_000);
    await new Promise((resolve) => setTimeout(resolve, 400));
    assert.notEqual(participantOf("slow"), undefined);
    relay.advance(31_000);
    await until(() => participantOf("slow") === undefined);
    slow.socket.destroy();
  });
});

test("OC17 what it sent is in the log once, also where the relay does not know whether an append came through", async () => {
  const memory = createMemoryLog(Date.now);
  let appends = 0;
  const ours = await startOurs({
    log: {
      ...memory,
      // Every other append comes through and is told as one that others were faster than.
      append: async (session, batch) => {
        const outcome = await memory.append(session, batch);
        if (outcome.kind !== "appended" || ++appends % 2 === 0) return outcome;
        return { kind: "conflict", records: await memory.read(session, batch.expectedHead + 1, 1e9, 1e9) };
      },
    },
  });
  try {
    const stream = new Stream(ours.client(), await ours.token());
    for (let n = 1; n <= 20; n++) {
      stream.send(
        { case: "edit", value: { filePath: "a.ts", lineNumber: n, content: `${n}`, version: 0 } },
        { sessionId: "demo" },
      );
    }
    stream.send({ case: "comment", value: { commentId: "c", lineNumber: 20, text: "t" } });
    stream.finish();
    assert.equal((await stream.ended).error, undefined);
    assert.ok(appends > 0);
    assert.equal((await memory.describe("demo"))?.head, 21);
    const file = ours.relay.rooms.present("demo")?.state.files.get("a.ts");
    assert.ok(file !== undefined);
    assert.equal(textContent(file.text), Array.from({ length: 20 }, (_, index) => `${index + 1}`).join("\n"));
  } finally {
    await ours.stop();
  }
});
