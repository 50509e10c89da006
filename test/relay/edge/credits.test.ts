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
    const records = () => {
      const envelopes = createEnvelopeReader(Number.MAX_SAFE_INTEGER);
      let found = 0;
      for (const frames of slow.frames()) {
        envelopes.push(frames);
        for (let frame = envelopes.take(); frame !== undefined; frame = envelopes.take()) {
          if (frame.length > data.length) found += 1;
        }
      }
      return found;
    };
    for (let told = 0; records() < count; await pause(20)) {
      const bytes = slow.bytes() - told;
      told += bytes;
      slow.link.send(encodeHop({ kind: "took", bytes }));
    }
    await pause(50);
    assert.equal(records(), count);
    assert.equal(edge.objects.object("slow").mayLeave, true);
    slow.link.close();
    alice.cut();
  });

  test("EG8 what cannot be read ends a stream that is known", async () => {
    const newer = await reader("unreadable");
    const alice = await edge.join({ as: "alice", session: "unreadable" });
    await alice.take("welcome");
    newer.link.send(new Uint8Array([2, 5, 123, 125]));
    while (!newer.heard.some(({ kind }) => kind === "end")) await pause(10);
    const end = newer.heard.find(({ kind }) => kind === "end");
    assert.equal(end?.kind === "end" && end.error?.reason, "DRAIN");
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
      // Its own are no answers.
      for (let n = 1; n <= 40; n++) slow.send({ case: "heartbeat", value: { sentAt: BigInt(n) } });
      for (let answered = 0; records() < count; ) {
        const questions = questionsOf(slow);
        assert.ok(questions.length > answered, `${records()} records, ${questions.length} questions`);
        // Who has read the last has read those before it.
        slow.send({ case: "heartbeat", value: { echo: questions.at(-1) ?? 0n } });
        const least = Math.min(count, records() + Math.floor((0.7 * windowBytes) / data.length));
        for (const dueMs = Date.now() + 5_000; records() < least; await pause(10)) {
          assert.ok(Date.now() < dueMs, `${records()} records of ${least}`);
        }
        answered = questions.length;
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

  test("EG44 who tells of more than it has read gains nothing by it, and who guesses has few tries", async () => {
    const liar = await edge.join({ as: "liar", session: "lies", kind: "websocket" });
    await liar.take("welcome");
    const alice = await edge.join({ as: "alice", session: "lies" });
    await alice.take("welcome");
    const data = new Uint8Array(16 * 1024);
    for (let n = 1; n <= 100; n++) alice.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
    await alice.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.seq === 100n);
    await pause(100);
    const records = () => liar.received.filter(({ payload }) => payload.case === "custom").length;
    const before = records();
    assert.ok(before > 5 && before < 100, `${before} records`);
    const dueMs = Date.now() + 5_000;
    for (let n = 0; n < 30; n++) liar.send({ case: "heartbeat", value: { echo: BigInt(dueMs + n) } });
    liar.send({ case: "heartbeat", value: { echo: 2n ** 62n } });
    for (const echo of questionsOf(liar)) liar.send({ case: "heartbeat", value: { echo } });
    await pause(100);
    assert.equal(records(), before);
    liar.cut();
    alice.cut();
  });

  test("EG44 questions are dated so that none can be told from another", async () => {
    const slow = await edge.join({ as: "slow", session: "dates", kind: "websocket" });
    await slow.take("welcome");
    const alice = await edge.join({ as: "alice", session: "dates" });
    await alice.take("welcome");
    const data = new Uint8Array(16 * 1024);
    for (let n = 1; n <= 40; n++) alice.send({ case: "custom", value: { type: "t", data } }, { clientSeq: BigInt(n) });
    await alice.takeMessage("ack", ({ payload }) => payload.case === "ack" && payload.value.seq === 40n);
    await pause(100);
    const [, ...questions] = slow.received.filter(({ payload }) => payload.case === "heartbeat");
    assert.ok(questions.length >= 3, `${questions.length} questions`);
    const back = questions.map(({ timestamp, payload }) =>
      payload.case === "heartbeat" ? Number(timestamp - payload.value.sentAt) : -1,
    );
    assert.ok(
      back.every((ms) => ms >= 0 && ms <= 1_010),
      back.join(", "),
    );
    assert.ok(new Set(back).size > 1, back.join(", "));
    slow.cut();
    alice.cut();
  });
});

const questionsOf = ({ received }: Awaited<ReturnType<TestEdge["join"]>>): bigint[] =>
  received.flatMap(({ payload }) =>
    payload.case === "heartbeat" && payload.value.echo === 0n ? [payload.value.sentAt] : [],
  );
