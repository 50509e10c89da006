import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { SessionMessage } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type Kind, startRelay, type TestRelay } from "./harness.ts";

let relay: TestRelay;
before(async () => {
  relay = await startRelay({ limits: { messagesPerSecond: 100_000, messagesBurst: 100_000 } });
});
after(() => relay.stop());

const each = 50;

/** What a client saw at a seq: another's record, or the Ack of its own. */
type Seen = Map<number, string>;

function note(seen: Seen, own: string, { payload, seq, userId, clientSeq }: SessionMessage): void {
  if (payload.case === "custom") {
    assert.equal(seen.has(Number(seq)), false, `seq ${seq} came twice`);
    seen.set(Number(seq), `${userId} ${clientSeq}`);
  }
  if (payload.case === "ack") {
    assert.equal(seen.has(Number(payload.value.seq)), false, `the ack of ${payload.value.seq} came twice`);
    seen.set(Number(payload.value.seq), `${own} ${payload.value.clientSeq}`);
  }
}

const custom = { case: "custom", value: { type: "t", data: new Uint8Array(40) } } as const;

async function bidi(name: string, kind: Kind, total: number): Promise<Seen> {
  const stream = await relay.join({ as: name, kind, session: "one" });
  await stream.take("welcome");
  for (let n = 1; n <= each; n++) stream.send(custom, { clientSeq: BigInt(n) });
  const seen: Seen = new Map();
  while (seen.size < total) {
    for (const message of stream.received.splice(0)) note(seen, name, message);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  stream.finish();
  assert.equal((await stream.ended).error, undefined);
  return seen;
}

async function split(name: string, kind: Kind, total: number): Promise<Seen> {
  const headers = { authorization: `Bearer ${await relay.token({ sub: name, sessions: ["one"] })}` };
  const client = relay.client(kind);
  const abort = new AbortController();
  const seen: Seen = new Map();
  const publish = async (resumeToken: string) => {
    for (let n = 1; n <= each; n += 5) {
      const messages = [0, 1, 2, 3, 4].map((k) => ({ clientSeq: BigInt(n + k), payload: custom }));
      const { replies } = await client.publish({ sessionId: "one", resumeToken, messages }, { headers });
      assert.deepEqual(
        replies.map(({ payload }) => payload.case),
        ["ack", "ack", "ack", "ack", "ack"],
      );
    }
  };
  let publishing: Promise<void> | undefined;
  for await (const message of client.subscribe({ sessionId: "one" }, { headers, signal: abort.signal })) {
    if (message.payload.case === "welcome") publishing = publish(message.payload.value.resumeToken);
    note(seen, name, message);
    if (seen.size === total) break;
  }
  await publishing;
  abort.abort();
  return seen;
}

test("ST40 Connect, gRPC-Web and WebSocket, binary and JSON, bidi and split, in one session at once: one order for all", async () => {
  // A session of custom messages alone is told in full: each sees all, whoever came first.
  const total = 8 * each;
  const all = await Promise.all(
    [
      bidi("connect", "connect", total),
      bidi("json", "connect-json", total),
      bidi("h1", "connect-h1", total),
      bidi("web", "grpc-web", total),
      bidi("socket", "websocket", total),
      bidi("socket json", "websocket-json", total),
      split("split connect", "connect-json", total),
      split("split web", "grpc-web", total),
    ].map(async (seen) => [...(await seen)].sort(([a], [b]) => a - b)),
  );
  const [first] = all;
  assert.deepEqual(
    first?.map(([seq]) => seq),
    Array.from({ length: total }, (_, index) => index + 1),
  );
  for (const seen of all) assert.deepEqual(seen, first);
});
