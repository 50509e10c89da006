import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { base64Encode } from "@bufbuild/protobuf/wire";
import { SessionMessageSchema } from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { decodeHop, encodeHop, type HopDown } from "../../../src/relay/edge/hop.ts";
import { windowBytes } from "../../../src/relay/edge/hop-credits.ts";
import { createEnvelopeReader } from "../../../src/relay/wire/envelope-reader.ts";
import { startEdge, type TestEdge } from "./harness.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
/** The largest piece of one write. */
const pieceBytes = 128 * 1024;

describe("a link's credits", () => {
  let edge: TestEdge;
  before(async () => {
    const limits = { messagesPerSecond: 100_000, messagesBurst: 100_000, unackedBytes: 64 * 1024 * 1024 };
    edge = await startEdge({ limits, evicts: () => false });
  });
  after(() => edge.stop());

  /** A gateway that takes nothing until it is told to. */
  async function reader(session: string) {
    const heard: HopDown[] = [];
    const link = await edge.objects.open(session, {
      message(bytes) {
        const hop = decodeHop(bytes);
        if (hop !== undefined && hop.kind !== "hello" && hop.kind !== "message" && hop.kind !== "finish") {
          if (hop.kind !== "leave") heard.push(hop);
        }
      },
      closed: () => undefined,
    });
    const join = create(SessionMessageSchema, { sessionId: session, payload: { case: "join", value: {} } });
    const nowMs = Date.now();
    const principal = {
      userId: "reader",
      scopes: new Set(["session:read"] as const),
      sessions: [session],
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + 600_000,
      tokenId: undefined,
    };
    const first = base64Encode(toBinary(SessionMessageSchema, join));
    const way = { carriage: "bidi", protocol: "connect", form: "binary" } as const;
    link.send(encodeHop({ kind: "hello", hello: { sessionId: session, streamId: "s", principal, first, ...way } }));
    return {
      link,
      heard,
      frames: () => heard.flatMap((hop) => (hop.kind === "frames" ? [hop.frames] : [])),
      bytes: () => heard.reduce((sum, hop) => sum + (hop.kind === "frames" ? hop.frames.length : 0), 0),
    };
  }

  test("EG13 no more is on its way to a gateway than its window, and nothing of the rest is lost", async () => {
    const slow = await reader("slow");
    // Who tells of more than was sent gains nothing by it.
    slow.link.send(encodeHop({ kind: "took", bytes: 100 * windowBytes }));
    const alice = await edge.join({ as: "alice", session: "slow" });
    await alice.take("welcome");
    const data = new Uint8Array(32 * 1024);
    const count = 100;
    for (let n = 1; n <= count; n++)
      alice.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
    await alice.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.seq === BigInt(count));
    await pause(50);
    assert.ok(slow.bytes() >= windowBytes, `${slow.bytes()} bytes`);
    assert.ok(slow.bytes() <= windowBytes + pieceBytes, `${slow.bytes()} bytes`);
    // It must not leave memory meanwhile: where such a reader is, nobody noted.
    assert.equal(edge.objects.object("slow").mayLeave, false);
    for (let told = 0; told < slow.bytes(); ) {
      const bytes = slow.bytes() - told;
      told += bytes;
      slow.link.send(encodeHop({ kind: "took", bytes }));
      await pause(20);
    }
    const envelopes = createEnvelopeReader(Number.MAX_SAFE_INTEGER);
    let records = 0;
    for (const frames of slow.frames()) {
      envelopes.push(frames);
      for (let frame = envelopes.take(); frame !== undefined; frame = envelopes.take()) {
        if (frame.length > data.length) records += 1;
      }
    }
    assert.equal(records, count);
    assert.equal(edge.objects.object("slow").mayLeave, true);
    slow.link.close();
    alice.cut();
  });

  test("EG8 what is of a kind that is not known is ignored, on either side", async () => {
    const newer = await reader("newer");
    newer.link.send(new Uint8Array([1, 200, 1, 2, 3]));
    const alice = await edge.join({ as: "alice", session: "newer" });
    await alice.take("welcome");
    alice.send({ case: "custom", value: { type: "t" } }, { clientSeq: 1n });
    await alice.take("ack");
    await pause(20);
    assert.equal(
      newer.heard.some(({ kind }) => kind === "end"),
      false,
    );
    assert.equal(decodeHop(new Uint8Array([1, 201])), undefined);
    assert.throws(() => decodeHop(new Uint8Array([2, 6])), /version 2/);
    newer.link.close();
    alice.cut();
  });
});

describe("a WebSocket that does not tell whether its client keeps up", () => {
  let edge: TestEdge;
  before(async () => {
    const limits = { messagesPerSecond: 100_000, messagesBurst: 100_000, unackedBytes: 64 * 1024 * 1024 };
    edge = await startEdge({ limits, socketsTell: false, evicts: () => false });
  });
  after(() => edge.stop());

  for (const kind of ["websocket", "websocket-json"] as const) {
    test(`EG14 its client's answers to heartbeats do (${kind})`, async () => {
      const session = kind;
      const slow = await edge.join({ as: "slow", session, kind });
      await slow.take("welcome");
      const alice = await edge.join({ as: "alice", session });
      await alice.take("welcome");
      const data = new Uint8Array(16 * 1024);
      const count = 100;
      for (let n = 1; n <= count; n++) {
        alice.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
      }
      await alice.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.seq === BigInt(count));
      await pause(100);
      const records = () => slow.received.filter(({ payload }) => payload.case === "custom").length;
      const before = records();
      assert.ok(before > 5 && before * data.length <= windowBytes + pieceBytes, `${before} records`);
      slow.send({ case: "heartbeat", value: { echo: 1n } });
      await pause(50);
      assert.equal(records(), before);
      for (let answered = 0; records() < count; ) {
        const asked = slow.received.filter(({ payload }) => payload.case === "heartbeat").length;
        assert.ok(asked > answered, `${records()} records, ${asked} questions`);
        answered = asked;
        for (const { payload } of slow.received) {
          if (payload.case !== "heartbeat" || payload.value.echo !== 0n) continue;
          slow.send({ case: "heartbeat", value: { echo: payload.value.sentAt } });
        }
        await pause(100);
      }
      assert.deepEqual(
        slow.received.filter(({ payload }) => payload.case === "custom").map(({ seq }) => Number(seq)),
        Array.from({ length: count }, (_, index) => index + 1),
      );
      slow.cut();
      alice.cut();
    });
  }
});
