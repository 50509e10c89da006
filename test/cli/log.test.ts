import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createLiveBench, type LiveRelay, type Piped } from "./live.ts";

const bench = createLiveBench();
after(() => bench.clean());

const seqs = ({ lines }: Piped) => lines.map(({ seq }) => Number(seq));
const count = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index);

/** A session of so many messages. */
async function say(relay: LiveRelay, messages: number): Promise<void> {
  const writer = relay.baton(["join", "demo", "--sub", "writer"]);
  for (let index = 0; index < messages; index++) writer.say({ custom: { type: "n", text: String(index) } });
  assert.equal(await writer.leave(), 0);
}

describe("baton log", () => {
  test("CL32 prints the log as JSON lines, all of it or a range", async () => {
    const relay = await bench.relay();
    await say(relay, 5);
    const all = relay.baton(["log", "demo", "--sub", "bob"]);
    assert.equal(await all.exit, 0);
    assert.deepEqual(seqs(all), count(1, 5));
    assert.deepEqual(all.lines[1]?.custom, { type: "n", data: Buffer.from("1").toString("base64") });
    assert.deepEqual([all.lines[1]?.userId, all.lines[1]?.sessionId], ["writer", "demo"]);
    const range = relay.baton(["log", "demo", "--sub", "bob", "--from", "2", "--to", "4"]);
    assert.equal(await range.exit, 0);
    assert.deepEqual(seqs(range), count(2, 4));
  });

  test("CL33 a session that is not there, a place that is not there, no relay: words and 1", async () => {
    const relay = await bench.relay();
    const missing = relay.baton(["log", "demo", "--sub", "bob"]);
    assert.equal(await missing.exit, 1);
    assert.match(missing.stderr, /^there is no session demo at http/);
    await say(relay, 2);
    const beyond = relay.baton(["log", "demo", "--sub", "bob", "--from", "9"]);
    assert.equal(await beyond.exit, 1);
    assert.match(beyond.stderr, /keeps 1 to 2/);
    await relay.kill();
    for (const more of [[], ["--follow"]]) {
      const nowhere = relay.baton(["log", "demo", "--sub", "bob", ...more]);
      assert.equal(await nowhere.exit, 1);
      assert.match(nowhere.stderr, /^cannot reach a relay at /);
    }
  });

  test("CL34 --follow goes on from what is there to what comes, and ends at --to or a signal with 0", async () => {
    const relay = await bench.relay();
    const early = relay.baton(["log", "demo", "--sub", "bob", "--follow", "--to", "6"]);
    await early.wait(() => /waiting/.exec(early.stderr) ?? undefined);
    await say(relay, 4);
    const late = relay.baton(["log", "demo", "--sub", "bob", "--follow", "--from", "3"]);
    await late.line(({ seq }) => seq === "4");
    await say(relay, 4);
    assert.equal(await early.exit, 0);
    assert.deepEqual(seqs(early), count(1, 6));
    await late.line(({ seq }) => seq === "8");
    late.child.kill("SIGINT");
    assert.equal(await late.exit, 0);
    assert.deepEqual(seqs(late), count(3, 8));
  });

  for (const carriage of ["bidi", "socket", "split"]) {
    test(`CL35 --follow over a killed relay: no gap, no repeat, ${carriage}`, async () => {
      const relay = await bench.relay();
      await say(relay, 10);
      const follow = relay.baton(["log", "demo", "--sub", "bob", "--follow", "--carriage", carriage]);
      await follow.line(({ seq }) => seq === "10");
      const writer = relay.baton(["join", "demo", "--sub", "writer"]);
      await writer.event("live");
      for (let index = 0; index < 30; index++) writer.say({ custom: { type: "n", text: String(index) } });
      await follow.line(({ seq }) => seq === "12");
      await relay.kill();
      await writer.event("reconnecting");
      await relay.restart();
      for (let index = 0; index < 10; index++) writer.say({ custom: { type: "m", text: String(index) } });
      assert.equal(await writer.leave(), 0);
      await follow.line(({ seq }) => seq === "50");
      follow.child.kill("SIGTERM");
      assert.equal(await follow.exit, 0);
      assert.deepEqual(seqs(follow), count(1, 50));
      assert.match(follow.stderr, /^cut off/m);
    });
  }

  test("CL36 a reader of the log is not seen as a participant", async () => {
    const relay = await bench.relay();
    await say(relay, 1);
    const follow = relay.baton(["log", "demo", "--sub", "bob", "--follow"]);
    await follow.line(({ seq }) => seq === "1");
    const alice = relay.baton(["join", "demo", "--sub", "alice"]);
    const { participants, readers } = await alice.event("welcome");
    assert.ok(Array.isArray(participants));
    assert.ok(participants.every(({ user }: { user: string }) => user !== "bob"));
    assert.equal(readers, 1);
    assert.equal(await alice.leave(), 0);
  });
});
