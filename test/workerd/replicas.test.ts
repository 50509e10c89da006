import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { until } from "../../trial/until.ts";
import type { Stream } from "../relay/harness.ts";
import { missingWorkerd } from "./harness.ts";
import { startWorkerRelay, type WorkerRelay } from "./relay.ts";

const skip = missingWorkerd === "" ? false : missingWorkerd;
const because = missingWorkerd === "" ? "" : ` (skipped: ${missingWorkerd})`;
const session = "hot";

async function joinReaders(relay: WorkerRelay, count: number): Promise<Stream[]> {
  const readers: Stream[] = [];
  for (let n = 0; n < count; n++) {
    const token = await relay.token({ sub: `r${n}`, sessions: [session], scope: "session:read" });
    const reader = await relay.join({ session, token });
    await reader.take("welcome");
    readers.push(reader);
  }
  return readers;
}

/** Each has every record up to this one, once, in order. */
async function haveAll(readers: readonly Stream[], last: number): Promise<void> {
  for (const reader of readers) {
    const seqs = () => reader.received.filter(({ seq }) => seq > 0n).map(({ seq }) => Number(seq));
    await until(`record ${last}`, () => seqs().includes(last), 10_000);
    assert.deepEqual(
      seqs(),
      Array.from({ length: last }, (_, index) => index + 1),
    );
  }
}

/** How often each object of the session came into memory. */
function wakesOf({ workerd }: WorkerRelay): Map<string, number> {
  const wakes = new Map<string, number>();
  for (const [, name] of workerd.output.matchAll(/"a session came into memory".*"session":"(hot[^"]*)"/g)) {
    if (name !== undefined) wakes.set(name, (wakes.get(name) ?? 0) + 1);
  }
  return wakes;
}

describe(`replicas in workerd${because}`, { skip }, () => {
  let relay: WorkerRelay;
  before(async () => {
    relay = await startWorkerRelay({
      BATON_LIMIT_OBJECT_READERS: "2",
      BATON_LIMIT_REPLICA_READERS: "4",
      BATON_LOG_LEVEL: "debug",
    });
  });
  after(() => relay.stop());

  test("RP1 RP8 RP9 readers of a tree of objects have each record once, also where these leave memory or die", async () => {
    const alice = await relay.join({ as: "alice", session });
    const { resumeToken, clientId } = await alice.take("welcome");
    const readers = await joinReaders(relay, 12);
    let seq = 0;
    const say = async (writer: Stream) => {
      seq += 1;
      writer.send({ case: "custom", value: { type: "t", data: new Uint8Array([seq]) } }, { clientSeq: BigInt(seq) });
      await writer.take("ack");
    };
    for (let n = 0; n < 5; n++) await say(alice);
    await haveAll(readers, seq);
    const awakened = wakesOf(relay);
    assert.equal(awakened.size, 4);
    for (let round = 0; round < 2; round++) {
      // Until each has noted where its readers are.
      await new Promise((resolve) => setTimeout(resolve, 3_500));
      await relay.workerd.evict();
      await say(alice);
      await haveAll(readers, seq);
    }
    for (const [name, wakes] of wakesOf(relay)) assert.equal(wakes, (awakened.get(name) ?? 0) + 2, name);
    await relay.workerd.abortObjects();
    for (const stream of [alice, ...readers]) assert.equal((await stream.ended).fault?.reason, "LOG_UNAVAILABLE");
    const back = await relay.join({ as: "alice", session, resumeToken, clientId, lastSeq: BigInt(seq) });
    await back.take("welcome");
    const again = await joinReaders(relay, 12);
    await say(back);
    await haveAll(again, seq);
    for (const stream of [back, ...again]) stream.cut();
  });
});
