import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Reason, reasons } from "../../src/session/reasons.ts";
import type { Payload } from "../relay/harness.ts";
import { edit, type Kind, type Stream } from "../relay/harness.ts";
import { answersOf, carriages, type Said } from "./conversation.ts";
import { startRelay, type TestRelay } from "./relay.ts";
import { reasonOf, ways } from "./ways.ts";

const unbounded = { messagesPerSecond: 1e6, messagesBurst: 1e6, userStreams: 1e6, userSessions: 1e6 };
let relay: TestRelay;
before(async () => {
  relay = await startRelay({
    limits: { ...unbounded, fileHistory: 4, editChanges: 3, editBytes: 100, fileBytes: 200 },
  });
});
after(() => relay.stop());

const pair = "\u{1f600}";
/** Version 1 of a file, of eight units of text: two lines, the second of which holds a surrogate pair. */
const made = edit("a.ts", 0, 0, 0, `one\nt${pair}o`);
const custom: Payload = { case: "custom", value: { type: "still here" } };
const ranges = (...changes: readonly [from: number, to: number, insert: string][]): Payload => ({
  case: "edit",
  value: { filePath: "a.ts", version: 1, changes: changes.map(([from, to, insert]) => ({ from, to, insert })) },
});
const line = (lineNumber: number, content = "x", version = 1): Payload => ({
  case: "edit",
  value: { filePath: "a.ts", lineNumber, content, version },
});

interface Case {
  readonly title: string;
  /** What was said before, and taken. */
  readonly before?: readonly Payload[];
  readonly payload: Payload;
  /** Default: the next number. */
  readonly clientSeq?: bigint;
  readonly reason: Reason;
  readonly says?: RegExp;
}

const five = [1, 2, 3, 4, 5].map((version) => edit("a.ts", version, 0, 0, "x"));

const cases: readonly Case[] = [
  { title: "ST12 a second Join", payload: { case: "join", value: {} }, reason: "ALREADY_JOINED" },
  {
    title: "ST12 an Ack, which only the relay says",
    payload: { case: "ack", value: { seq: 9n } },
    reason: "PAYLOAD_UNEXPECTED",
  },
  { title: "ST12 a Welcome", payload: { case: "welcome", value: {} }, reason: "PAYLOAD_UNEXPECTED" },
  { title: "ST12 a Fault", payload: { case: "fault", value: { reason: "DRAIN" } }, reason: "PAYLOAD_UNEXPECTED" },
  {
    title: "ED11 a version ahead of the file's",
    payload: line(1, "x", 120),
    reason: "VERSION_AHEAD",
    says: /120 is ahead of 1/,
  },
  {
    title: "ED10 a version older than what is kept",
    before: five,
    payload: line(1),
    reason: "STALE_VERSION",
    says: /too far behind/,
  },
  { title: "ED2 a position beyond the end", payload: ranges([9, 9, "x"]), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED2 a deletion beyond the end", payload: ranges([0, 9, ""]), reason: "EDIT_OUT_OF_RANGE" },
  {
    title: "ED2 the largest position that there is",
    payload: ranges([0xffffffff, 0xffffffff, ""]),
    reason: "EDIT_OUT_OF_RANGE",
  },
  { title: "ED2 a range that ends before it begins", payload: ranges([2, 1, ""]), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED2 ranges that overlap", payload: ranges([0, 2, ""], [1, 3, ""]), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED2 ranges that descend", payload: ranges([3, 3, "b"], [0, 0, "a"]), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED3 half of a surrogate pair", payload: ranges([6, 7, ""]), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED7 line 0", payload: line(0), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED7 a line before the first", payload: line(-2147483648), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED7 two past the last line", payload: line(4), reason: "EDIT_OUT_OF_RANGE" },
  { title: "ED2 a version below zero", payload: line(1, "x", -1), reason: "EDIT_OUT_OF_RANGE" },
  {
    title: "ED15 more changes than an edit may have",
    payload: ranges([0, 0, "a"], [1, 1, "b"], [2, 2, "c"], [3, 3, "d"]),
    reason: "EDIT_TOO_LARGE",
    says: /3/,
  },
  {
    title: "ED15 more text than an edit may have",
    payload: ranges([0, 0, "x".repeat(101)]),
    reason: "EDIT_TOO_LARGE",
    says: /100/,
  },
  {
    title: "ED15 more text than a file may have",
    before: [ranges([0, 0, "x".repeat(100)])],
    payload: edit("a.ts", 2, 0, 0, "x".repeat(93)),
    reason: "DOCUMENT_TOO_LARGE",
    says: /200/,
  },
  {
    title: "OR4 a number that was used with another content",
    payload: custom,
    clientSeq: 1n,
    reason: "CLIENT_SEQ_REUSED",
    says: /client_seq 1 was used with another content/,
  },
  ...[0n, 3n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n].map(
    (clientSeq): Case => ({
      title: `OR3 the number ${clientSeq}`,
      payload: custom,
      clientSeq,
      reason: "OUT_OF_ORDER",
      says: /^expected client_seq 2$/,
    }),
  ),
];

let sessions = 0;

for (const [carriage, say] of Object.entries(carriages)) {
  for (const way of ways) {
    describe(`what is refused while the session goes on: ${way.name}, ${carriage}`, () => {
      for (const { title, before = [], payload, clientSeq, reason, says } of cases) {
        test(`${title}: ${reason}`, async () => {
          const session = `protocol-${++sessions}`;
          const common = { session, token: await relay.token({ sessions: [session] }), clientId: "c" };
          const sound = [made, ...before].map((one, index): Said => ({ payload: one, clientSeq: BigInt(index + 1) }));
          const next = BigInt(sound.length + 1);
          const bad: Said = { payload, clientSeq: clientSeq ?? next };
          const after: Said = { payload: custom, clientSeq: next };
          // A call stops at its first fault: what comes behind it is said by another one.
          const calls = carriage === "Publish" ? [[...sound, bad], [after]] : [[...sound, bad, after]];
          const heard = [];
          for (const one of calls) heard.push(await say(relay, way, { ...common, say: one }));
          assert.deepEqual(
            heard.map(reasonOf),
            calls.map(() => "OK"),
          );
          const told = Number.isSafeInteger(Number(bad.clientSeq)) ? bad.clientSeq : 0n;
          assert.deepEqual(
            heard.flatMap(answersOf).sort(),
            [...sound.map(({ clientSeq: n }) => `ack ${n}`), `ack ${next}`, `fault ${told} ${reason}`].sort(),
          );
          const faults = heard.flatMap(({ said }) =>
            said.flatMap((m) => (m.payload.case === "fault" ? [m.payload.value] : [])),
          );
          const [fault] = faults;
          assert.deepEqual([fault?.code, fault?.action], [reasons[reason].code, reasons[reason].action]);
          if (says !== undefined) assert.match(fault?.message ?? "", says);
        });
      }
    });
  }
}

const beat = (receivedSeq: bigint, receivedBytes = 0n): Payload => ({
  case: "heartbeat",
  value: { sentAt: 5n, receivedSeq, receivedBytes },
});

/** What a heartbeat that says this is answered. */
async function answerTo(stream: Stream, payload: Payload): Promise<string> {
  stream.send(payload);
  const isAnswer = ({ payload: said }: Stream["received"][number]) =>
    said.case === "fault" || (said.case === "heartbeat" && said.value.echo === 5n);
  while (!stream.received.some(isAnswer)) await new Promise((resolve) => setTimeout(resolve, 2));
  const at = stream.received.findIndex(isAnswer);
  const [answer] = stream.received.splice(at, 1);
  return answer?.payload.case === "fault" ? answer.payload.value.reason : "echoed";
}

for (const kind of ["connect", "connect-json", "grpc-web"] satisfies Kind[]) {
  describe(`what a client says that it has received: ${kind}`, () => {
    test("BI3 no more than its stream was sent, and never less than before; bytes are nothing but said", async () => {
      const session = `beats-${++sessions}`;
      const alice = await relay.join({ session, kind });
      const bob = await relay.join({ session, kind, as: "bob" });
      await alice.take("welcome");
      for (let n = 1n; n <= 3n; n++) {
        bob.send(custom, { clientSeq: n });
        await alice.takeMessage("custom", ({ seq }) => seq === n);
      }
      const said: [seq: bigint, answer: string][] = [
        [0n, "echoed"],
        [4n, "HEARTBEAT_INVALID"],
        [2n, "echoed"],
        [1n, "HEARTBEAT_INVALID"],
        [2n, "echoed"],
        [0n, "echoed"],
        [3n, "echoed"],
        [2n, "HEARTBEAT_INVALID"],
        [2n ** 53n, "HEARTBEAT_INVALID"],
        [2n ** 64n - 1n, "HEARTBEAT_INVALID"],
      ];
      for (const [seq, answer] of said) assert.equal(await answerTo(alice, beat(seq)), answer, `received_seq ${seq}`);
      assert.equal(await answerTo(alice, beat(3n, 2n ** 31n)), "echoed");
      // Nothing was skipped for it.
      bob.send(custom, { clientSeq: 4n });
      assert.equal((await alice.takeMessage("custom")).seq, 4n);
    });

    test("BI3 after a resync a client may still speak of what it had before", async () => {
      const session = `beats-${++sessions}`;
      const first = await relay.join({ session, kind });
      const { resumeToken } = await first.take("welcome");
      first.send(custom, { clientSeq: 1n });
      await first.take("ack");
      const again = await relay.join({ session, kind, resumeToken, lastSeq: 97n });
      await again.take("snapshot");
      assert.equal(await answerTo(again, beat(97n)), "echoed");
      assert.equal(await answerTo(again, beat(1n)), "echoed");
      assert.equal(await answerTo(again, beat(97n)), "HEARTBEAT_INVALID");
    });
  });
}

test("BI3 what a Publish says counts for its Subscribe stream; one without a stream is not judged", async () => {
  const session = `beats-${++sessions}`;
  const options = { headers: { authorization: `Bearer ${await relay.token({ sessions: [session] })}` } };
  const abort = new AbortController();
  const client = relay.client();
  const down = client.subscribe({ sessionId: session }, { ...options, signal: abort.signal })[Symbol.asyncIterator]();
  const next = async () => (await down.next()).value;
  let message = await next();
  while (message?.payload.case !== "welcome") message = await next();
  const { resumeToken } = message.payload.value;
  const reasonsOf = async (from: { resumeToken: string } | { clientId: string }, receivedSeq: bigint) => {
    const { replies } = await client.publish(
      { sessionId: session, ...from, messages: [{ payload: beat(receivedSeq) }] },
      options,
    );
    return replies.map(({ payload }) => (payload.case === "fault" ? payload.value.reason : payload.case));
  };
  assert.deepEqual(await reasonsOf({ resumeToken }, 0n), ["heartbeat"]);
  assert.deepEqual(await reasonsOf({ resumeToken }, 1n), ["HEARTBEAT_INVALID"]);
  assert.deepEqual(await reasonsOf({ clientId: "unseen" }, 9n), ["heartbeat"]);
  abort.abort();
});
