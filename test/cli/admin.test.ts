import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createProgram } from "../../src/cli/program.ts";
import { createLiveBench, type LiveRelay, type Piped } from "./live.ts";
import { createBench, repository } from "./run-baton.ts";

const live = createLiveBench();
const bench = createBench();
let relay: LiveRelay;
before(async () => {
  relay = await live.relay();
});
after(async () => {
  await live.clean();
  await bench.clean();
});

/** `baton admin <args>` by an operator; resolves once it has ended. */
async function admin(command: string, ...args: readonly string[]): Promise<{ code: number | null; run: Piped }> {
  const [first = "", ...rest] = ["admin", command, "--url", relay.url, "--data-dir", relay.dataDir, ...args];
  const run = live.baton([first, ...rest, ...(args.includes("--token") ? [] : ["--sub", "operator"])]);
  return { code: await run.exit, run };
}

async function joined(session: string, user: string, ...args: readonly string[]): Promise<Piped> {
  const participant = relay.baton(["join", session, "--sub", user, ...args]);
  await participant.event("live");
  return participant;
}

async function make(session: string): Promise<void> {
  const writer = await joined(session, "writer");
  writer.say({ create: { path: "a.ts", content: "canary" } });
  assert.equal(await writer.leave(), 0);
}

describe("baton admin", () => {
  test("AC1 sessions: a line for each, by prefix, no more than asked for; describe: one line, without texts", async () => {
    for (const session of ["list/b", "list/a", "list/c"]) await make(session);
    const all = await admin("sessions", "--prefix", "list/");
    assert.equal(all.code, 0);
    assert.deepEqual(
      all.run.lines.map(({ sessionId, headSeq, participants }) => [sessionId, headSeq, participants]),
      ["list/a", "list/b", "list/c"].map((id) => [id, "1", 0]),
    );
    const two = await admin("sessions", "--prefix", "list/", "--limit", "2");
    assert.deepEqual(
      two.run.lines.map(({ sessionId }) => sessionId),
      ["list/a", "list/b"],
    );
    const one = await admin("describe", "list/a");
    assert.equal(one.code, 0);
    assert.equal(one.run.lines.length, 1);
    const [line] = one.run.lines;
    assert.deepEqual(JSON.parse(JSON.stringify(line?.files)), [
      { filePath: "a.ts", version: 1, content: "", offset: 0 },
    ]);
    assert.doesNotMatch(one.run.stdout, /canary/);
  });

  test("AC2 disconnect: a client's streams, and a user's in one session, and everywhere", async () => {
    const [a1, a2, b, other] = await Promise.all([
      joined("talk/1", "ann", "--client-id", "one"),
      joined("talk/1", "ann", "--client-id", "two"),
      joined("talk/2", "ann"),
      joined("talk/1", "bob"),
    ]);
    const streams = async (...args: readonly string[]) => {
      const { code, run } = await admin("disconnect", "--user", "ann", ...args);
      assert.equal(code, 0);
      return run.lines;
    };
    assert.deepEqual(await streams("--client", "one", "--session", "talk/1"), [{ streams: 1 }]);
    assert.equal((await a1.event("stopped")).reason, "DISCONNECTED");
    assert.deepEqual(await streams("--session", "talk/1"), [{ streams: 1 }]);
    assert.equal((await a2.event("stopped")).reason, "DISCONNECTED");
    assert.deepEqual(await streams(), [{ streams: 1 }]);
    assert.equal((await b.event("stopped")).reason, "DISCONNECTED");
    assert.equal(await other.leave(), 0);
  });

  test("AC3 revoke: by user, and by the id of a token; a stream whose token is renewed by itself comes back", async () => {
    const jwt = await tokenOf("cleo");
    const { jti } = JSON.parse(Buffer.from(jwt.split(".")[1] ?? "", "base64url").toString());
    const held = live.baton(["join", "talk/3", "--url", relay.url, "--token", jwt]);
    await held.event("live");
    const byId = await admin("revoke", "--token-id", String(jti));
    assert.deepEqual([byId.code, byId.run.lines], [0, [{ streams: 1 }]]);
    assert.equal((await held.event("stopped")).reason, "TOKEN_REVOKED");
    assert.equal(await held.exit, 1);
    const dora = await joined("talk/3", "dora");
    const byUser = await admin("revoke", "--user", "dora");
    assert.deepEqual([byUser.code, byUser.run.lines], [0, [{ streams: 1 }]]);
    assert.notEqual((await dora.line(({ event }) => event === "reconnecting" || event === "stopped")).reason, "");
    dora.child.kill("SIGTERM");
    await dora.exit;
    for (const args of [[], ["--user", "u", "--token-id", "t"]]) {
      const { code, run } = await admin("revoke", ...args);
      assert.equal(code, 1);
      assert.match(run.stderr, /Give --user <user>, or --token-id <id>/);
    }
  });

  test("AC4 delete takes --yes, and then the session is gone", async () => {
    await make("gone");
    const asked = await admin("delete", "gone");
    assert.equal(asked.code, 1);
    assert.match(asked.run.stderr, /for good; give --yes/);
    assert.equal((await admin("describe", "gone")).code, 0);
    const done = await admin("delete", "gone", "--yes");
    assert.deepEqual([done.code, done.run.lines], [0, [{ deleted: "gone" }]]);
    const again = await admin("delete", "gone", "--yes");
    assert.equal(again.code, 1);
    assert.match(again.run.stderr, /^there is no session gone at http/);
  });

  test("AC5 what is refused is told in words, with what to do, and 1", async () => {
    const weak = await tokenOf("eve");
    const noScope = await admin("sessions", "--token", weak);
    assert.equal(noScope.code, 1);
    assert.match(noScope.run.stderr, /lacks the scope session:admin .*npx baton token .*--scope session:admin/);
    const narrow = await tokenOf("eve", "--scope", "session:admin");
    for (const [command, ...args] of [
      ["revoke", "--user", "u"],
      ["disconnect", "--user", "u"],
      ["describe", "elsewhere"],
    ] as const) {
      const { code, run } = await admin(command, ...args, "--token", narrow);
      assert.equal(code, 1);
      assert.match(run.stderr, /\(SESSION_FORBIDDEN\); an operator's token: npx baton token/);
      assert.ok(!run.stderr.includes(narrow.slice(0, 20)));
    }
    const nowhere = live.baton(["admin", "sessions", "--url", "http://127.0.0.1:1", "--token", weak]);
    assert.equal(await nowhere.exit, 1);
    assert.match(nowhere.stderr, /^cannot reach a relay at /);
    for (const args of [
      ["sessions"],
      ["describe", "demo"],
      ["delete", "demo", "--yes"],
      ["disconnect", "--user", "u"],
    ]) {
      const nobody = live.baton(["admin", ...args]);
      assert.equal(await nobody.exit, 1);
      assert.match(nobody.stderr, /who are you\?/);
    }
  });

  async function tokenOf(user: string, ...args: readonly string[]): Promise<string> {
    const run = live.baton(["token", "--sub", user, "--session", "talk/3", "--data-dir", relay.dataDir, ...args]);
    assert.equal(await run.exit, 0);
    return run.stdout.trim();
  }
});

describe("the key of a relay that is not there", () => {
  for (const command of [
    ["token", "--session", "demo"],
    ["join", "demo"],
    ["log", "demo"],
    ["admin", "sessions"],
  ]) {
    test(`AC6 ${command[0]}: no key is made in a data folder that is not there`, async () => {
      const dataDir = join(bench.folder(), "tpyo");
      const run = bench.baton([...command, "--sub", "alice", "--data-dir", dataDir]);
      assert.deepEqual(await run.exit, { code: 78, signal: null });
      assert.equal(run.stdout, "");
      assert.ok(run.stderr.includes(`there is no data folder ${dataDir}`), run.stderr);
      assert.equal(existsSync(dataDir), false);
    });
  }

  test("AC6 but in the default one, before the first start", async () => {
    const cwd = bench.folder();
    const run = bench.baton(["token", "--sub", "alice", "--session", "demo"], { cwd });
    assert.deepEqual(await run.exit, { code: 0, signal: null });
    assert.equal(existsSync(join(cwd, "data/dev-key")), true);
  });

  test("AC6 and a configured secret needs no folder", async () => {
    const env = { BATON_JWT_SECRET: "canary-PINEAPPLE-0123456789abcdef-0123456789" };
    const dataDir = join(bench.folder(), "none");
    const run = bench.baton(["token", "--sub", "alice", "--session", "demo", "--data-dir", dataDir], { env });
    assert.deepEqual(await run.exit, { code: 0, signal: null });
  });
});

test("AC7 log --from after --to is a mistake of the command line", async () => {
  for (const more of [[], ["--follow"]]) {
    const run = bench.baton(["log", "demo", "--sub", "a", "--from", "3", "--to", "2", ...more]);
    assert.deepEqual(await run.exit, { code: 1, signal: null });
    assert.match(run.stderr, /^error: --from 3 is after --to 2/);
  }
});

describe("the docs of the commands", () => {
  const documented = readFileSync(join(repository, "docs/cli.md"), "utf8");

  test("AC8 name every command", () => {
    const names = createProgram().commands.map((command) => command.name());
    assert.ok(names.length >= 6);
    for (const name of names) assert.ok(documented.includes(`npx baton ${name}`), name);
  });

  test("AC8 name every admin command with its options", () => {
    const parts = createProgram().commands.find((command) => command.name() === "admin")?.commands ?? [];
    assert.equal(parts.length, 5);
    for (const part of parts) {
      assert.ok(documented.includes(`npx baton admin ${part.name()}`), part.name());
      for (const { long } of part.options) assert.ok(documented.includes(`${long}`), `${part.name()} ${long}`);
    }
  });
});
