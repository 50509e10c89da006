import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createRandom } from "../support/random.ts";
import { openCrowd } from "./crowd.ts";
import { Stream, startRelay } from "./harness.ts";
import { assertAlive } from "./operators.ts";

const size = 200;
const before = 3;
const missed = 5;

/** A client comes back where it was, as often as it is told to come later, and is given what it missed. */
async function comeBack(open: () => Stream, sessionId: string, resumeToken: string) {
  const random = createRandom(resumeToken.length);
  for (let busy = 0; ; busy++) {
    const stream = open();
    stream.send({ case: "join", value: { resumeToken, lastSeq: BigInt(before) } }, { sessionId });
    const welcome = await stream.take("welcome").catch(() => undefined);
    if (welcome === undefined) {
      const { fault } = await stream.ended;
      assert.equal(fault?.reason, "BUSY");
      assert.ok(fault.retryAfterMs >= 1000n);
      // As a client would, in a hundredth of the time.
      await new Promise((resolve) => setTimeout(resolve, (Number(fault.retryAfterMs) / 100) * (1 + random())));
      continue;
    }
    assert.equal(welcome.outcome, Outcome.RESUMED);
    for (let n = 1; n <= missed; n++) assert.equal((await stream.takeMessage("custom")).seq, BigInt(before + n));
    return { stream, busy };
  }
}

test("LC2 all clients come back at once: some at a time, and each to where it was, without a gap", async () => {
  const log = createMemoryLog(Date.now);
  const first = await startRelay({ log });
  const session = (n: number) => `session-${n % 20}`;
  const crowd = await openCrowd(first, { size, session });
  for (const one of crowd) one.stream.send({ case: "join", value: {} }, { sessionId: one.session });
  const tokens = await Promise.all(crowd.map(async ({ stream }) => (await stream.take("welcome")).resumeToken));
  const writers = crowd.slice(0, 20).map(({ stream }) => stream);
  for (let n = 1n; n <= before; n++) for (const writer of writers) await assertAlive(writer, n);
  // As a process does that is killed: nobody is told to go.
  for (const { stream } of crowd) stream.cut();
  await first.stop();

  const second = await startRelay({ log, limits: { joins: 4, joinsWaiting: 30 } });
  let most = { running: 0, waiting: 0 };
  const watch = setInterval(() => {
    const { running, waiting } = second.relay.admission.load;
    most = { running: Math.max(most.running, running), waiting: Math.max(most.waiting, waiting) };
  }, 1);
  try {
    for (const sessionId of new Set(crowd.map((one) => one.session))) {
      const writer = await second.join({ as: "another", session: sessionId });
      for (let n = 1n; n <= missed; n++) await assertAlive(writer, n);
    }
    const clients = Array.from({ length: 4 }, () => second.client());
    const back = await Promise.all(
      crowd.map(async (one, n) => {
        const token = await second.token({ sub: one.user, sessions: [one.session] });
        const client = clients[n % clients.length];
        assert.ok(client);
        return await comeBack(() => new Stream(client, token), one.session, tokens[n] ?? "");
      }),
    );
    assert.equal(back.length, size);
    assert.ok(
      back.some(({ busy }) => busy > 0),
      "nobody was sent away",
    );
    assert.ok(most.running <= 4 && most.waiting <= 30, JSON.stringify(most));
    assert.deepEqual(second.relay.admission.load, { running: 0, waiting: 0 });
    for (const { stream } of back) stream.cut();
  } finally {
    clearInterval(watch);
    await second.stop();
  }
});
