import assert from "node:assert/strict";
import { resolve } from "node:path";
import { after, describe, test } from "node:test";
import { parseTypedLine } from "../../src/cli/join-command-line.ts";
import { describeEvent } from "../../src/cli/join-words.ts";
import { printable } from "../../src/cli/printable.ts";
import { createLiveBench, type LiveRelay } from "./live.ts";

const bench = createLiveBench();
after(() => bench.clean());

/** Only who says goodbye is told to have left. */
const noGrace = { BATON_LIMIT_LEAVE_GRACE_MS: "86400000" };

const launcher = resolve(import.meta.dirname, "../../bin/baton.mjs");

/** `baton` at a terminal of its own. */
function atTerminal(relay: LiveRelay, args: readonly string[]) {
  let screen = "";
  const wakers = new Set<() => void>();
  const decoder = new TextDecoder();
  const child = Bun.spawn(["node", launcher, ...args, "--url", relay.url, "--data-dir", relay.dataDir], {
    terminal: {
      cols: 120,
      rows: 40,
      data(_terminal, bytes) {
        screen += decoder.decode(bytes, { stream: true });
        for (const wake of [...wakers]) wake();
      },
    },
  });
  return {
    exited: child.exited,
    get screen() {
      return screen;
    },
    type: (text: string) => child.terminal?.write(text),
    async sees(pattern: RegExp): Promise<RegExpExecArray> {
      for (;;) {
        const found = pattern.exec(screen);
        if (found !== null) return found;
        await new Promise<void>((woken) => {
          const wake = () => {
            wakers.delete(wake);
            woken();
          };
          wakers.add(wake);
        });
      }
    },
  };
}

describe("baton join and log at a terminal", () => {
  test("CL37 people read words, and type commands", async () => {
    const relay = await bench.relay();
    const bob = relay.baton(["join", "demo", "--sub", "bob"]);
    await bob.event("live");
    bob.say({ create: { path: "a.ts", content: "one\ntwo" } });
    await bob.event("acked");
    const alice = atTerminal(relay, ["join", "demo", "--sub", "alice"]);
    await alice.sees(/Joined as alice in demo; here too: bob\./);
    await alice.sees(/files: a\.ts\./);
    alice.type("show a.ts\r");
    await alice.sees(/1 \| one[\s\S]*2 \| two/);
    alice.type("edit a.ts 2 TWO and more\r");
    await bob.shows("a.ts", "one\nTWO and more");
    alice.type("append a.ts three\r");
    await bob.shows("a.ts", "one\nTWO and more\nthree");
    alice.type("comment a.ts 2 why so loud?\r");
    const comment = await bob.event("comment");
    assert.deepEqual([comment.line, comment.text], [2, "why so loud?"]);
    alice.type("say hello there\r");
    assert.equal((await bob.event("custom")).text, "hello there");
    alice.type("frobnicate\r");
    await alice.sees(/no command frobnicate; type help/);
    bob.say({ custom: { type: "chat", text: "evil \u001b[2J\u0007 \u202e text" } });
    await alice.sees(/bob: evil \\u\{1b\}\[2J\\u\{7\} \\u\{202e\} text/);
    assert.ok(!alice.screen.includes("\u001b[2J"));
    alice.type("quit\r");
    assert.equal(await alice.exited, 0);
    await bob.event("presence", ({ user, status }) => user === "alice" && status === "left");
    assert.equal(await bob.leave(), 0);
  });

  test("CL38 Ctrl-C leaves with 0, and the others see it", async () => {
    const relay = await bench.relay(noGrace);
    const bob = relay.baton(["join", "demo", "--sub", "bob"]);
    await bob.event("live");
    const alice = atTerminal(relay, ["join", "demo", "--sub", "alice"]);
    await alice.sees(/Up to date/);
    alice.type("\u0003");
    assert.equal(await alice.exited, 0);
    await bob.event("presence", ({ user, status }) => user === "alice" && status === "left");
    assert.equal(await bob.leave(), 0);
  });

  test("CL37 the log is a readable line for each record", async () => {
    const relay = await bench.relay();
    const bob = relay.baton(["join", "demo", "--sub", "bob"]);
    bob.say({ create: { path: "a.ts", content: "one" } }, { custom: { type: "chat", text: "hi \u001b]0;x\u0007" } });
    assert.equal(await bob.leave(), 0);
    const log = atTerminal(relay, ["log", "demo", "--sub", "alice"]);
    assert.equal(await log.exited, 0);
    assert.match(log.screen, / 1 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}bob edits a\.ts, \+3 -0 \(version 1\)/);
    assert.match(log.screen, /bob says: hi \\u\{1b\}\]0;x\\u\{7\}/);
  });

  test("CL39 nothing that a terminal obeys comes through, from any field of others", () => {
    const evil = "\u001b[31m\u009b2J\r\u2028\u202e";
    const shown = printable(evil);
    assert.equal(shown, "\\u{1b}[31m\\u{9b}2J\\u{d}\\u{2028}\\u{202e}");
    const obeyed = /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u;
    const present = { user: evil, client: evil, name: evil, status: "joined" };
    const comment = { id: evil, path: evil, line: 1, text: evil, parent: evil, resolved: false, user: evil };
    const end = { code: evil, reason: evil, message: evil };
    const lines = [
      ...describeEvent({ event: "presence", ...present }),
      ...describeEvent({ event: "comment", ...comment }),
      ...describeEvent({ event: "comments", comments: [comment] }),
      ...describeEvent({ event: "comment-deleted", id: evil }),
      ...describeEvent({ event: "text", path: evil, exists: true, changes: [], line: 1, user: evil, version: 2 }),
      ...describeEvent({ event: "text", path: evil, exists: false, changes: [], line: 1 }),
      ...describeEvent({ event: "custom", type: "chat", data: "", text: evil, ephemeral: false, ...present }),
      ...describeEvent({ event: "custom", type: evil, data: "", ephemeral: false, ...present }),
      ...describeEvent({ event: "show", path: evil, exists: true, text: evil, settled: true }),
      ...describeEvent({ event: "show", path: evil, exists: false, text: "", settled: true }),
      ...describeEvent({ event: "files", files: [evil] }),
      ...describeEvent({ event: "live", seq: 1, files: [evil] }),
      ...describeEvent({ event: "lost-file", path: evil, text: evil }),
      ...describeEvent({ event: "refused", kind: "edit", path: evil, reason: evil, message: evil }),
      ...describeEvent({ event: "uncertain", kind: "comment", id: evil }),
      ...describeEvent({ event: "token", state: "rejected", expiresAt: 0, scopes: [], reason: evil }),
      ...describeEvent({ event: "go-away", reason: evil, afterMs: 0 }),
      ...describeEvent({ event: "reconnecting", attempt: 1, waitMs: 0, ...end }),
      ...describeEvent({ event: "fault", clientSeq: 0, ...end }),
      ...describeEvent({ event: "protocol-error", message: evil }),
      ...describeEvent({ event: "error", line: 1, message: evil }),
    ];
    assert.ok(lines.length >= 21);
    for (const line of lines) assert.doesNotMatch(line, obeyed);
  });

  test("CL40 a typed line is what it says, quotes and all", () => {
    assert.deepEqual(parseTypedLine('edit "my file.ts" 3  two  spaces'), {
      kind: "line",
      value: { path: "my file.ts", line: 3, content: " two  spaces" },
    });
    assert.deepEqual(parseTypedLine("edit a.ts 3"), { kind: "line", value: { path: "a.ts", line: 3, content: "" } });
    assert.deepEqual(parseTypedLine("append a.ts"), { kind: "append", value: { path: "a.ts", content: "" } });
    assert.deepEqual(parseTypedLine("  "), { kind: "nothing" });
    for (const wrong of ["edit", "edit a.ts", "edit a.ts x", "edit a.ts 0 text", "comment a.ts", "show", "resolve"]) {
      assert.equal(parseTypedLine(wrong).kind, "wrong", wrong);
    }
  });
});
