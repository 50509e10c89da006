import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { createLiveBench, type Line, type LiveRelay, type Piped } from "./live.ts";

const bench = createLiveBench();
after(() => bench.clean());

/** Only who says goodbye is told to have left. */
const noGrace = { BATON_LIMIT_LEAVE_GRACE_MS: "86400000" };

async function join(relay: LiveRelay, ...args: readonly string[]): Promise<Piped> {
  const participant = relay.baton(["join", "demo", ...args]);
  await participant.event("live");
  return participant;
}

/** Both show the same text, and the log has all of it. */
async function converge(path: string, [first, ...others]: readonly Piped[], accept: (text: string) => boolean) {
  for (;;) {
    const text = String((await first?.shows(path))?.text);
    if (!accept(text)) continue;
    const shown = await Promise.all(others.map((other) => other.shows(path)));
    if (shown.every((one) => one.text === text)) return text;
  }
}

/** Characters that a text line says were inserted into b.ts. */
const inserted = ({ path, changes }: Line): number =>
  path === "b.ts" && Array.isArray(changes) ? changes.reduce((sum: number, { insert }) => sum + insert.length, 0) : 0;

describe("baton join, piped", () => {
  test("CL20 two edit one file at once, and both show the same text", async () => {
    const relay = await bench.relay();
    const alice = await join(relay, "--sub", "alice");
    alice.say({ create: { path: "a.ts", content: "one\ntwo\nthree" } });
    await alice.event("acked");
    const bob = await join(relay, "--sub", "bob");
    assert.deepEqual((await bob.event("live")).files, ["a.ts"]);
    const words = Array.from({ length: 20 }, (_, index) => [`<a${index}>`, `<b${index}>`] as const);
    for (const [ofAlice, ofBob] of words) {
      alice.say({ edit: { path: "a.ts", changes: [{ from: 0, to: 0, insert: ofAlice }] } });
      bob.say({ edit: { path: "a.ts", changes: [{ from: 0, to: 0, insert: ofBob }] } });
    }
    alice.say({ line: { path: "a.ts", line: 3, content: "THREE" } });
    const text = await converge("a.ts", [alice, bob], (one) => one.includes("<a19>") && one.includes("<b19>"));
    for (const word of words.flat()) assert.equal(text.split(word).length, 2, `${word} in ${text}`);
    assert.match(text, /\nTHREE$/);
    const seen = await alice.event("text", (line) => line.user === "bob");
    assert.ok(Number(seen.seq) > 1 && Number(seen.version) > 1);
    assert.equal(await alice.leave(), 0);
    assert.equal(await bob.leave(), 0);
    assert.equal(alice.lines.at(-1)?.event, "left");
  });

  test("CL21 each kind of line does what it says, and the others are told", async () => {
    const relay = await bench.relay(noGrace);
    const alice = await join(relay, "--sub", "alice");
    const bob = await join(relay, "--sub", "bob", "--display-name", "Bobby");
    await alice.event("presence", (line) => line.user === "bob" && line.name === "Bobby");
    bob.say(
      { create: { path: "a.ts", content: "one\ntwo" } },
      { comment: { id: "c1", path: "a.ts", line: 2, text: "why?" } },
      { cursor: { path: "a.ts", line: 2, column: 1 } },
      { custom: { type: "chat", text: "hello" } },
      { custom: { type: "raw", data: "AP8=" } },
      { custom: { type: "now", text: "gone", ephemeral: true } },
    );
    const made = await alice.event("text", (line) => line.path === "a.ts");
    assert.deepEqual(made.changes, [{ from: 0, to: 0, insert: "one\ntwo" }]);
    assert.equal(made.user, "bob");
    const comment = await alice.event("comment", (line) => line.id === "c1");
    assert.deepEqual([comment.path, comment.line, comment.text, comment.user], ["a.ts", 2, "why?", "bob"]);
    assert.equal((await alice.event("custom", (line) => line.type === "chat")).text, "hello");
    const raw = await alice.event("custom", (line) => line.type === "raw");
    assert.deepEqual([raw.data, raw.text], ["AP8=", undefined]);
    const now = await alice.event("custom", (line) => line.type === "now");
    assert.deepEqual([now.ephemeral, now.seq], [true, undefined]);
    // A cursor is sent now or never, and before the file is in the log there is no place that it could name.
    bob.say({ cursor: { path: "a.ts", line: 2, column: 1 } });
    const cursor = await alice.event("cursor");
    assert.deepEqual([cursor.path, cursor.line, cursor.column], ["a.ts", 2, 1]);
    alice.say({ resolve: { id: "c1" } });
    await bob.event("comment", (line) => line.id === "c1" && line.resolved === true);
    bob.say({ rewrite: { id: "c1", text: "because" } });
    await alice.event("comment", (line) => line.text === "because");
    bob.say({ uncomment: { id: "c1" } });
    await alice.event("comment-deleted", (line) => line.id === "c1");
    bob.say({ delete: { path: "a.ts" } });
    await alice.event("text", (line) => line.exists === false);
    alice.say({ files: true });
    assert.deepEqual((await alice.event("files")).files, []);
    bob.say({ leave: true });
    assert.equal(await bob.exit, 0);
    await alice.event("presence", (line) => line.user === "bob" && line.status === "left");
  });

  test("CL22 a refusal is told, and the stream lives", async () => {
    const relay = await bench.relay();
    const alice = await join(relay, "--sub", "alice", "--scope", "session:read session:custom");
    alice.say({ create: { path: "a.ts", content: "mine" } });
    const refused = await alice.event("refused");
    assert.deepEqual([refused.reason, refused.kind, refused.path], ["SCOPE_MISSING", "edit", "a.ts"]);
    assert.equal((await alice.shows("a.ts")).exists, false);
    alice.say({ line: { path: "nowhere.ts", line: 3, content: "x" } });
    assert.equal((await alice.event("refused", (line) => line.path === "nowhere.ts")).reason, "FILE_NOT_FOUND");
    alice.say({ custom: { type: "chat", text: "still here" } });
    await alice.event("acked");
    assert.equal(await alice.leave(), 0);
  });

  test("CL23 a line that is none is answered by one error line that says what there is", async () => {
    const relay = await bench.relay();
    const alice = await join(relay, "--sub", "alice");
    alice.child.stdin.write('nonsense\n[]\n{"edit":{},"show":"a"}\n{"frobnicate":1}\n{"edit":{"path":"a.ts"}}\n\n');
    alice.child.stdin.write('{"custom":{"type":"x","data":"AA==","text":"both"}}\n{"files":true}\n');
    await alice.event("files");
    const errors = alice.events("error");
    assert.deepEqual(
      errors.map(({ line }) => line),
      [1, 2, 3, 4, 5, 7],
    );
    for (const { message } of errors.slice(0, 4)) assert.match(String(message), /edit, line, create, .*leave/);
    assert.match(String(errors[4]?.message), /^edit\.changes: /);
    assert.match(String(errors[5]?.message), /not both/);
    assert.equal(await alice.leave(), 0);
  });

  test("CL24 at the end of stdin all is acked before it leaves", async () => {
    const relay = await bench.relay();
    const alice = relay.baton(["join", "demo", "--sub", "alice"]);
    for (let index = 0; index < 120; index++) alice.say({ custom: { type: "n", text: String(index) } });
    assert.equal(await alice.leave(), 0);
    assert.equal(alice.events("acked").length, 120);
    const log = relay.baton(["log", "demo", "--sub", "bob"]);
    assert.equal(await log.exit, 0);
    assert.deepEqual(
      log.lines.map(({ seq }) => seq),
      Array.from({ length: 120 }, (_, index) => String(index + 1)),
    );
  });

  for (const carriage of ["auto", "bidi", "socket", "split"]) {
    test(`CL25 a relay that is killed and started again: ${carriage} comes back, nothing is lost or there twice`, async () => {
      const relay = await bench.relay();
      const alice = await join(relay, "--sub", "alice", "--carriage", carriage);
      const bob = await join(relay, "--sub", "bob", "--carriage", carriage);
      alice.say({ create: { path: "a.ts", content: "start" } });
      await bob.event("text");
      for (let index = 0; index < 10; index++) {
        alice.say({ edit: { path: "a.ts", changes: [{ from: 0, to: 0, insert: `a${index} ` }] } });
        alice.say({ custom: { type: "n", text: `before ${index}` } });
      }
      await relay.kill();
      await Promise.all([alice.event("reconnecting"), bob.event("reconnecting")]);
      // Done while there is no relay.
      bob.say({ edit: { path: "a.ts", changes: [{ from: 0, to: 0, insert: "bob " }] } });
      alice.say({ custom: { type: "n", text: "between" } });
      await relay.restart();
      const text = await converge("a.ts", [alice, bob], (one) => one.includes("a9") && one.includes("bob"));
      for (const word of [...Array.from({ length: 10 }, (_, index) => `a${index} `), "bob ", "start"]) {
        assert.equal(text.split(word).length, 2, `${word} in ${text}`);
      }
      assert.ok(alice.events("welcome").length > 1);
      assert.equal(await alice.leave(), 0);
      assert.equal(await bob.leave(), 0);
      const log = relay.baton(["log", "demo", "--sub", "carol"]);
      await log.exit;
      const said = log.lines.flatMap(({ custom }) =>
        typeof custom === "object" && custom !== null && "data" in custom
          ? [Buffer.from(String(custom.data), "base64").toString()]
          : [],
      );
      assert.deepEqual(said, [...Array.from({ length: 10 }, (_, index) => `before ${index}`), "between"]);
    });
  }

  for (const carriage of ["split", "socket"]) {
    test(`CL26 ${carriage} carriage: the same session as bidi`, async () => {
      const relay = await bench.relay();
      const alice = await join(relay, "--sub", "alice", "--carriage", carriage);
      const bob = await join(relay, "--sub", "bob");
      alice.say({ create: { path: "a.ts", content: "from alice" } });
      await bob.shows("a.ts", "from alice");
      bob.say({ edit: { path: "a.ts", changes: [{ from: 10, to: 10, insert: " and bob" }] } });
      await alice.shows("a.ts", "from alice and bob");
      // More than one request may hold.
      const large = "x".repeat(200_000);
      const big = { custom: { type: "big", text: large } };
      alice.say(big, big, big, { create: { path: "b.ts", content: large } });
      await bob.event("custom", (line) => line.type === "big");
      await bob.wait(() =>
        bob.events("text").reduce((sum, line) => sum + inserted(line), 0) >= large.length ? true : undefined,
      );
      await bob.shows("b.ts", large);
      alice.say({ custom: { type: "larger", text: "x".repeat(300_000) } });
      assert.equal((await alice.event("refused")).reason, "MESSAGE_TOO_LARGE");
      assert.equal(alice.events("reconnecting").length, 0);
      assert.equal(await alice.leave(), 0);
    });
  }

  for (const carriage of ["auto", "bidi", "socket", "split"]) {
    test(`CL27 a token of two seconds is renewed by itself under the stream: ${carriage}`, async () => {
      const relay = await bench.relay({ BATON_LIMIT_TOKEN_SKEW_MS: "1" });
      const alice = await join(relay, "--sub", "alice", "--ttl", "2s", "--carriage", carriage);
      await alice.wait(() => alice.events("token").filter(({ state }) => state === "accepted")[2]);
      alice.say({ custom: { type: "chat", text: "still here" } });
      await alice.event("acked");
      assert.equal(alice.events("welcome").length, 1);
      assert.deepEqual(alice.events("reconnecting"), []);
      assert.equal(await alice.leave(), 0);
      assert.doesNotMatch(alice.stdout + alice.stderr, /eyJ/);
    });
  }

  test("CL28 rotate renews the token; with --token there is no other", async () => {
    const relay = await bench.relay();
    const alice = await join(relay, "--sub", "alice");
    alice.say({ rotate: true });
    await alice.event("token", ({ state }) => state === "accepted");
    const token = bench.baton(["token", "--sub", "bob", "--session", "demo", "--data-dir", relay.dataDir]);
    await token.exit;
    const bob = bench.baton(["join", "demo", "--url", relay.url, "--token", token.stdout.trim()]);
    await bob.event("live");
    bob.say({ rotate: true });
    await bob.event("error");
    assert.equal(await bob.leave(), 0);
  });

  test("CL29 a token that is refused, a session that it does not name, no relay: words and 1", async () => {
    const relay = await bench.relay();
    const ended = async (program: Piped) => {
      program.child.stdin.end();
      assert.equal(await program.exit, 1);
      return program.stderr;
    };
    const wrong = bench.baton(["join", "demo", "--url", relay.url, "--token", `${"a".repeat(20)}.b.c`]);
    assert.match(await ended(wrong), /^the relay refused the token .*--token/);
    const token = bench.baton(["token", "--sub", "bob", "--session", "other", "--data-dir", relay.dataDir]);
    await token.exit;
    const elsewhere = bench.baton(["join", "demo", "--url", relay.url, "--token", token.stdout.trim()]);
    assert.match(await ended(elsewhere), /^the token does not allow the session demo/);
    await relay.kill();
    for (const carriage of ["auto", "bidi", "socket", "split"]) {
      const nowhere = relay.baton(["join", "demo", "--sub", "alice", "--carriage", carriage]);
      assert.match(await ended(nowhere), new RegExp(`^cannot reach a relay at ${relay.url} .*is it started`));
    }
    assert.match(await ended(bench.baton(["join", "demo"])), /who are you/);
  });

  test("CL30 a stop signal leaves: the others see it, what was said is in the log, exit 0", async () => {
    const relay = await bench.relay(noGrace);
    const alice = await join(relay, "--sub", "alice");
    const bob = await join(relay, "--sub", "bob");
    bob.say({ custom: { type: "chat", text: "last words" } });
    await alice.event("custom");
    bob.child.kill("SIGINT");
    assert.equal(await bob.exit, 0);
    assert.equal(bob.lines.at(-1)?.event, "left");
    await alice.event("presence", (line) => line.user === "bob" && line.status === "left");
    assert.equal(await alice.leave(), 0);
  });

  test("CL31 a second stream under one client id: the older one takes a new id, and both go on", async () => {
    const relay = await bench.relay();
    const first = await join(relay, "--sub", "alice", "--client-id", "tab");
    const second = await join(relay, "--sub", "alice", "--client-id", "tab");
    const again = await first.event("welcome", ({ client }) => client !== "tab");
    assert.match(String(again.client), /^[0-9a-f-]{36}$/);
    first.say({ create: { path: "a.ts", content: "from the first" } });
    await second.shows("a.ts", "from the first");
    assert.equal(await first.leave(), 0);
    assert.equal(await second.leave(), 0);
  });
});
