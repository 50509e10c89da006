import assert from "node:assert/strict";
import process from "node:process";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { parseBearer } from "../../src/auth/bearer.ts";
import { createResumeTokens } from "../../src/auth/resume-token.ts";
import { CodeReviewService, Join_History as History } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createBase64Decoder } from "../../src/relay/wire/base64.ts";
import { gunzip } from "../../src/relay/wire/compression.ts";
import { decodeMessage } from "../../src/relay/wire/envelope.ts";
import { createEnvelopeReader } from "../../src/relay/wire/envelope-reader.ts";
import { BatonError, reasons } from "../../src/session/reasons.ts";
import { edit, type Payload } from "../relay/harness.ts";
import { createRandom } from "../support/random.ts";
import { answersOf, converse } from "./conversation.ts";
import { mutate } from "./mutate.ts";
import { startRelay } from "./relay.ts";
import { bodyOf, encode, envelope, type Method, methods, openConnection, reasonOf, type Way, ways } from "./ways.ts";

/** `BATON_FUZZ_INPUTS=1000000 BATON_FUZZ_SEED=2 npm test -- test/bad-input/fuzz.test.ts` looks further. */
const inputs = Number(process.env.BATON_FUZZ_INPUTS ?? 20_000);
const seed = Number(process.env.BATON_FUZZ_SEED ?? 1);

const utf8 = new TextEncoder();
const maxMessageBytes = 4_096;

const payloads: readonly Payload[] = [
  { case: "join", value: { clientId: "c", history: History.LIVE, clientName: "fuzz/1" } },
  edit("a.ts", 0, 0, 0, "one\ntwo \u{1f600}"),
  edit("a.ts", 1, 0, 3, "three"),
  { case: "edit", value: { filePath: "a.ts", lineNumber: 1, content: "line", version: 1 } },
  { case: "edit", value: { filePath: "a.ts", version: 1, deleted: true } },
  { case: "comment", value: { commentId: "n", text: "why?", filePath: "a.ts", lineNumber: 1 } },
  { case: "cursor", value: { filePath: "a.ts", line: 1, column: 2 } },
  { case: "presence", value: { status: 1, displayName: "Alice" } },
  { case: "custom", value: { type: "t", data: new Uint8Array([1, 2, 3]) } },
  { case: "custom", value: { type: "t", ephemeral: true } },
  { case: "heartbeat", value: { sentAt: 5n, receivedSeq: 1n, receivedBytes: 7n } },
  { case: "tokenRotation", value: { token: "eyJ.eyJ.sig" } },
  { case: "ack", value: { clientSeq: 1n, seq: 1n } },
  { case: "welcome", value: { epoch: "e", headSeq: 1n } },
];

/** Sound requests of a method. */
function requestsOf(method: Method): object[] {
  const sessionId = "fuzz/a";
  switch (method) {
    case "collaborativeSession":
      return payloads.map((payload, index) => ({ sessionId, clientSeq: BigInt(index), payload }));
    case "subscribe":
      return [{ sessionId, join: { clientId: "c" } }, { sessionId }];
    case "publish":
      return payloads.map((payload) => ({
        sessionId,
        clientId: "p",
        messages: [
          { clientSeq: 1n, payload },
          { clientSeq: 2n, payload },
        ],
      }));
    case "readLog":
      return [{ sessionId }, { sessionId, fromSeq: 1n, toSeq: 3n, epoch: "e" }];
    case "getSnapshot":
      return [{ sessionId }, { sessionId, atSeq: 1n }];
  }
}

/** Whatever comes, the outcome is a value or a named refusal that is no fault of ours. */
function assertNamed(error: unknown): void {
  if (!(error instanceof BatonError)) throw error;
  assert.notEqual(error.reason, "INTERNAL");
}

describe(`${inputs} inputs to each decoder, seed ${seed}`, () => {
  for (const method of methods) {
    for (const form of ["binary", "json"] as const) {
      test(`BI10 ${method} in ${form}: a message or MALFORMED`, () => {
        const random = createRandom(seed);
        const { input } = CodeReviewService.method[method];
        const sound = requestsOf(method).map((init) => {
          const message = create(input, init);
          return form === "binary" ? toBinary(input, message) : utf8.encode(toJsonString(input, message));
        });
        let decoded = 0;
        for (let n = 0; n < inputs; n++) {
          try {
            decodeMessage(input, mutate(random, sound), form);
            decoded += 1;
          } catch (error) {
            assertNamed(error);
          }
        }
        assert.ok(decoded > inputs / 20 && decoded < inputs * 0.9, `${decoded} of ${inputs} were messages`);
      });
    }
  }

  test("BI10 envelopes, cut anywhere: messages or a named refusal", () => {
    const random = createRandom(seed);
    const sound = [[], [1], [1, 2, 3]].map((data) => envelope(Uint8Array.from(data)));
    const long = Buffer.concat([...sound, envelope(new Uint8Array(maxMessageBytes)), ...sound]);
    let messages = 0;
    for (let n = 0; n < inputs; n++) {
      const bytes = mutate(random, [...sound, long]);
      const reader = createEnvelopeReader(maxMessageBytes, random() < 0.5);
      try {
        for (let at = 0; at < bytes.length; ) {
          const size = 1 + Math.floor(random() * 600);
          reader.push(bytes.subarray(at, at + size));
          while (reader.take() !== undefined) messages += 1;
          at += size;
        }
      } catch (error) {
        assertNamed(error);
      }
    }
    assert.ok(messages > inputs / 2, `${messages} messages`);
  });

  test("BI10 base64 in pieces: bytes or MALFORMED", () => {
    const random = createRandom(seed);
    const sound = ["", "AA==", "AAA=", "AAAA", "AA==AAA=AAAA"].map((text) => utf8.encode(text));
    let decoded = 0;
    for (let n = 0; n < inputs; n++) {
      const decoder = createBase64Decoder();
      const text = mutate(random, sound);
      try {
        const half = Math.floor(text.length / 2);
        decoded += decoder.decode(text.subarray(0, half)).length + decoder.decode(text.subarray(half)).length;
      } catch (error) {
        assertNamed(error);
      }
    }
    assert.ok(decoded > inputs / 10, `${decoded} bytes`);
  });

  test("BI10 gzip: a message or a named refusal", async () => {
    const random = createRandom(seed);
    const sound = ["", "short", "x".repeat(20_000)].map((text) => new Uint8Array(gzipSync(text)));
    let decoded = 0;
    for (let n = 0; n < inputs; n++) {
      try {
        await gunzip(mutate(random, sound), maxMessageBytes);
        decoded += 1;
      } catch (error) {
        assertNamed(error);
      }
    }
    assert.ok(decoded > inputs / 20, `${decoded} messages`);
  });

  test("BI10 tokens, resume tokens and the headers that bring them", async () => {
    const random = createRandom(seed);
    const relay = await startRelay();
    try {
      const resumeTokens = createResumeTokens({ secret: new Uint8Array(32).fill(1), ttlMs: 1_000 });
      const claims = { sessionId: "demo", epoch: "e", userId: "alice", clientId: "c", generation: 1, head: 1 };
      const sound = [await relay.token(), await resumeTokens.issue(claims, 0)].map((text) => utf8.encode(text));
      let taken = 0;
      for (let n = 0; n < inputs; n++) {
        const text = Buffer.from(mutate(random, sound)).toString("latin1");
        const tries = [
          () => parseBearer(`Bearer ${text}`),
          () => relay.relay.tokens.verify(text, relay.now()),
          () => resumeTokens.open(text, claims, 0),
        ];
        for (const attempt of tries) {
          try {
            await attempt();
            taken += 1;
          } catch (error) {
            assertNamed(error);
          }
        }
      }
      assert.ok(taken > inputs / 10, `${taken} taken`);
    } finally {
      await relay.stop();
    }
  });
});

const concurrency = 32;
const unbounded = { messagesPerSecond: 1e9, messagesBurst: 1e9, userStreams: 1e9, userSessions: 1e9 };

describe(`${inputs} inputs by each way in, seed ${seed}`, () => {
  for (const way of ways) {
    test(`BI10 every call ends by name, never INTERNAL, and the relay goes on: ${way.name}`, async () => {
      const relay = await startRelay({ limits: { ...unbounded, messageBytes: maxMessageBytes } });
      try {
        const random = createRandom(seed);
        const token = await relay.token({ sessions: ["fuzz/*"] });
        const ends = new Map<string, number>();
        let sent = 0;
        // Each has a connection of its own: on Bun's node:http2 the streams of one connection can hold each other up.
        const caller = async () => {
          const connection = openConnection(relay, way);
          while (sent < inputs) {
            const { count, ...call } = nextCall(way, random);
            sent += count;
            const reason = reasonOf(await connection.call({ token, ...call }));
            ends.set(reason, (ends.get(reason) ?? 0) + 1);
          }
          connection.close();
        };
        await Promise.all(Array.from({ length: concurrency }, caller));
        const isNamed = (reason: string) =>
          reason === "OK" || (Object.hasOwn(reasons, reason) && reason !== "INTERNAL");
        assert.deepEqual(
          [...ends.keys()].filter((reason) => !isNamed(reason)),
          [],
        );
        for (const expected of ["OK", "MALFORMED", "NOT_JOINED", "SESSION_ID_INVALID"]) {
          assert.ok((ends.get(expected) ?? 0) > inputs / 2_000, `${expected}: ${JSON.stringify([...ends])}`);
        }
        const say = [{ clientSeq: 1n, payload: { case: "custom", value: {} } }] as const;
        const after = await converse(relay, way, { session: "fuzz/after", token, say });
        assert.deepEqual(answersOf(after), ["ack 1"]);
      } finally {
        await relay.stop();
      }
    });
  }
});

const soundBy = new Map<Way, Map<Method, Uint8Array[]>>();

/** Sound requests as a way spells them, made once. */
function soundFor(way: Way, method: Method): Uint8Array[] {
  const made = soundBy.get(way) ?? new Map<Method, Uint8Array[]>();
  soundBy.set(way, made);
  const { input } = CodeReviewService.method[method];
  const sound = made.get(method) ?? requestsOf(method).map((init) => encode(way, input, init));
  made.set(method, sound);
  return sound;
}

/** A call of one method or another, and how many mutated messages it carries. */
function nextCall(way: Way, random: () => number) {
  const isStream = random() < 0.6;
  const method = isStream ? "collaborativeSession" : (methods[1 + Math.floor(random() * 4)] ?? "publish");
  const sound = soundFor(way, method);
  const [join] = sound;
  const count = isStream ? 1 + Math.floor(random() * 16) : 1;
  const wrong = Array.from({ length: count }, () => mutate(random, sound));
  const messages = isStream && join !== undefined && random() < 0.8 ? [join, ...wrong] : wrong;
  const body = bodyOf(way, method, ...messages);
  // A few slips in the envelopes too. A `Subscribe` that is taken lasts until its deadline.
  return { method, body: random() < 0.1 ? mutate(random, [body]) : body, deadlineMs: 50, count } as const;
}
