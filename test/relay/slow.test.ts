import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { SessionMessageSchema } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type Stream, startRelay, type TestRelay } from "./harness.ts";
import { StoppedReader } from "./stopped-reader.ts";

let relay: TestRelay;
beforeEach(async () => {
  relay = await startRelay({
    limits: { heartbeatMs: 100_000_000, messagesBurst: 1000, ringBytes: 256 * 1024, unackedBytes: 1 << 30 },
  });
});
afterEach(() => relay.stop());

const join = create(SessionMessageSchema, { sessionId: "demo", payload: { case: "join", value: {} } });

const joinAndStop = async (user: string) =>
  await StoppedReader.join(relay.url, await relay.token({ sub: user }), join, "snapshot");

const messages = 50;

/** Says more than a socket and the ring hold. */
async function sayMuch(writer: Stream): Promise<void> {
  for (let n = 1; n <= messages; n++) {
    writer.send({ case: "custom", value: { type: `t${n}`, data: new Uint8Array(200_000) } }, { clientSeq: BigInt(n) });
    assert.equal((await writer.take("ack")).seq, BigInt(n));
  }
}

const participantOf = (user: string) =>
  [...(relay.relay.rooms.present("demo")?.participants.values() ?? [])].find(
    ({ identity }) => identity.userId === user,
  );

describe("a reader that does not read", () => {
  test("ST16 it holds up nobody, and gets every record once it reads again", async () => {
    const slow = await joinAndStop("slow");
    const writer = await relay.join({ as: "writer" });
    const other = await relay.join({ as: "other" });
    await other.take("welcome");
    await sayMuch(writer);
    for (let n = 1; n <= messages; n++) assert.equal((await other.takeMessage("custom")).seq, BigInt(n));
    assert.notEqual(participantOf("slow")?.reader.blockedSinceMs, undefined);
    slow.socket.resume();
    await until(() => slow.text().includes(`"type":"t${messages}"`));
    const types = [...slow.text().matchAll(/"type":"(t\d+)"/g)].map(([, type]) => type);
    assert.deepEqual(
      types,
      Array.from({ length: messages }, (_, index) => `t${index + 1}`),
    );
    slow.socket.destroy();
  });

  test("ST17 when it has taken nothing for 30 s, it ends SLOW_CONSUMER", async () => {
    const slow = await joinAndStop("slow");
    const writer = await relay.join({ as: "writer" });
    await sayMuch(writer);
    relay.advance(15_000);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.notEqual(participantOf("slow"), undefined);
    relay.advance(15_000);
    await until(() => participantOf("slow") === undefined);
    slow.socket.resume();
    await until(() => slow.text().includes("SLOW_CONSUMER"));
    slow.socket.destroy();
  });
});

async function until(holds: () => boolean): Promise<void> {
  for (let waits = 0; waits < 500; waits++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("it did not come to be");
}
