import assert from "node:assert/strict";
import { test } from "node:test";
import { tick } from "../../src/relay/ticker.ts";
import { collectGarbage } from "../support/collect-garbage.ts";
import { openCrowd } from "./crowd.ts";
import { edit, startRelay } from "./harness.ts";
import { until } from "./operators.ts";

const size = 200;

test("LC3 when everybody has left, no room, user, reading, wait or stream is held, and their memory is free", async () => {
  const relay = await startRelay();
  const { rooms, users, readings, admission } = relay.relay;
  try {
    let held: WeakRef<object>[] = [];
    const crowd = await openCrowd(relay, { size });
    for (const { stream, session } of crowd) stream.send({ case: "join", value: {} }, { sessionId: session });
    await Promise.all(crowd.map(({ stream }) => stream.take("welcome")));
    for (const [n, { stream, user }] of crowd.entries()) {
      stream.send(edit(`${n}.ts`, 0, 0, 0, user), { clientSeq: 1n });
      stream.send({ case: "cursor", value: { filePath: `${n}.ts`, line: 1 } });
      await stream.take("ack");
    }
    for (const { session, user } of crowd.slice(0, 20)) {
      const headers = { authorization: `Bearer ${await relay.token({ sub: user, sessions: [session] })}` };
      for await (const _ of relay.client().readLog({ sessionId: session }, { headers }));
      await relay.client().publish({ sessionId: session, clientId: "p" }, { headers });
    }
    held = [...rooms.all]
      .flatMap((room) => [room, ...[...room.participants.values()].flatMap((one) => [one, one.reader])])
      .map((one) => new WeakRef(one));
    assert.equal(held.length, 4 + 2 * size);
    assert.equal(users.size, size);

    // A third each: says that it is done, vanishes, is gone from by the relay.
    for (const [n, { stream }] of crowd.entries()) {
      if (n % 3 === 0) stream.finish();
      if (n % 3 === 1) stream.cut();
    }
    relay.advance(60_000);
    tick(relay.relay);
    await Promise.all(crowd.map(({ stream }) => stream.ended));
    crowd.length = 0;
    await until(() => [...rooms.all].every((room) => room.participants.size === 0));
    relay.advance(120_000);
    tick(relay.relay);
    tick(relay.relay);

    assert.equal([...rooms.all].length, 0);
    assert.equal(users.size, 0);
    assert.equal([...readings.all].length, 0);
    assert.deepEqual(admission.load, { running: 0, waiting: 0 });
    const alive = () => {
      collectGarbage();
      return held.filter((one) => one.deref() !== undefined).length;
    };
    // JavaScriptCore looks for references on its stack too, and takes what looks like one for one.
    await until(() => alive() < held.length / 20);
  } finally {
    await relay.stop();
  }
});
