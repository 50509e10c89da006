import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { loadDefaultDriver } from "../../src/durable/default-driver.ts";
import { createLiveBench } from "./live.ts";
import { createBench } from "./run-baton.ts";

const bench = createLiveBench();
const programs = createBench();
after(async () => {
  await bench.clean();
  await programs.clean();
});

const folder = programs.folder();
const database = (dataDir: string) => join(dataDir, "baton.sqlite");

/** What a command said, and how it ended. */
async function ended(program: ReturnType<typeof bench.baton>) {
  const code = await program.exit;
  return { code, stdout: program.stdout, stderr: program.stderr };
}

async function typed(text: string) {
  const relay = await bench.relay();
  const alice = relay.baton(["join", "demo", "--sub", "alice", "--client-id", "a"]);
  alice.say({ create: { path: "a.ts", content: text } });
  await alice.shows("a.ts", text);
  return { relay, alice };
}

describe("baton backup", () => {
  test("BK10 of a relay that runs: a file that is whole, and a line that says what is in it", async () => {
    const { relay, alice } = await typed("one");
    const to = join(folder, "running.sqlite");
    const { code, stdout, stderr } = await ended(relay.baton(["backup", "--to", to, "--sub", "operator"]));
    assert.equal(code, 0, stderr);
    const line = JSON.parse(stdout);
    assert.deepEqual([line.backup, line.sessions, line.records, line.damaged], [to, 1, 1, []]);
    assert.equal(statSync(to).mode & 0o777, 0o600);
    const before = readFileSync(to);
    const again = await ended(relay.baton(["backup", "--to", to, "--sub", "operator"]));
    assert.deepEqual([again.code, /is there already/.test(again.stderr)], [1, true]);
    assert.deepEqual(readFileSync(to), before);
    const refused = await ended(relay.baton(["backup", "--to", join(folder, "no.sqlite"), "--token", "wrong"]));
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /refused the token/);
    const missing = await ended(relay.baton(["backup", "--to", join(folder, "no", "no.sqlite"), "--sub", "operator"]));
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /no\.sqlite cannot be written \(ENOENT\)/);
    assert.deepEqual(readdirSync(folder), ["running.sqlite"]);
    assert.equal(await alice.leave(), 0);
  });

  test("BK10 what makes no backups is told in words, whatever it answers", async () => {
    for (const [status, says] of [
      [404, /^what answers at http:\S+ makes no backups \(HTTP 404\): /],
      [502, /^what answers at http:\S+ does not speak as a Baton relay \(HTTP 502\); is --url right\?$/m],
    ] as const) {
      const server = createServer((_, response) => response.writeHead(status).end("<html>"));
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", () => listening()));
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      const to = join(folder, "none.sqlite");
      const args = ["backup", "--to", to, "--token", "a.b.c", "--url", `http://127.0.0.1:${address.port}`];
      const run = programs.baton(args);
      assert.deepEqual(await run.exit, { code: 1, signal: null });
      server.close();
      assert.match(run.stderr, says);
      assert.equal(existsSync(to), false);
    }
  });

  test("BK11 offline: refused while the relay runs, and once it does not, the same", async () => {
    const { relay } = await typed("two");
    const to = join(folder, "offline.sqlite");
    const offline = () => ended(bench.baton(["backup", "--offline", "--to", to, "--data-dir", relay.dataDir]));
    const inUse = await offline();
    assert.equal(inUse.code, 1);
    assert.match(inUse.stderr, /in use by another relay/);
    await relay.kill();
    const noRelay = await ended(relay.baton(["backup", "--to", to, "--sub", "operator"]));
    assert.equal(noRelay.code, 1);
    assert.match(noRelay.stderr, /cannot reach a relay .*--offline/);
    const { code, stdout, stderr } = await offline();
    assert.equal(code, 0, stderr);
    assert.equal(JSON.parse(stdout).records, 1);
    const nowhere = await ended(
      bench.baton(["backup", "--offline", "--to", `${to}.2`, "--data-dir", join(folder, "none")]),
    );
    assert.equal(nowhere.code, 1);
    assert.match(nowhere.stderr, /there is no log in/);
    assert.equal(existsSync(join(folder, "none")), false);
  });

  test("BK7 a relay that was killed and gets its backup back: clients that had seen more go on", async () => {
    const { relay, alice } = await typed("three");
    const to = join(folder, "restore.sqlite");
    assert.equal((await ended(relay.baton(["backup", "--to", to, "--sub", "operator"]))).code, 0);
    alice.say({ edit: { path: "a.ts", changes: [{ from: 5, to: 5, insert: " four" }] } });
    await alice.event("acked", ({ clientSeq }) => clientSeq === 2);
    await relay.kill();
    // As the docs say: whatever is left of the old one goes first, its write-ahead log above all.
    assert.ok(existsSync(`${database(relay.dataDir)}-wal`));
    for (const suffix of ["", "-wal"]) rmSync(`${database(relay.dataDir)}${suffix}`);
    copyFileSync(to, database(relay.dataDir));
    await relay.restart();
    const bob = relay.baton(["join", "demo", "--sub", "bob", "--client-id", "b"]);
    await bob.shows("a.ts", "three");
    // Alice's stream is back by itself, in the state of then.
    await alice.shows("a.ts", "three");
    alice.say({ edit: { path: "a.ts", changes: [{ from: 0, to: 0, insert: "again " }] } });
    await bob.shows("a.ts", "again three");
    assert.deepEqual([await alice.leave(), await bob.leave()], [0, 0]);
  });

  test("BK12 a start on a database that is damaged, or of a newer format, ends by name and leaves it as it is", async () => {
    const driver = await loadDefaultDriver();
    const data = join(folder, "data");
    mkdirSync(data);
    const start = () => ended(bench.baton(["start", "--port", "0", "--data-dir", data]));
    writeFileSync(database(data), "this is no database, ".repeat(500));
    const damaged = await start();
    assert.equal(damaged.code, 1);
    assert.match(damaged.stderr, /baton\.sqlite is damaged or no database; put a backup in its place/);
    copyFileSync(join(folder, "running.sqlite"), database(data));
    const db = driver.open(database(data));
    db.exec("PRAGMA user_version = 99");
    db.close();
    const before = readFileSync(database(data));
    const newer = await start();
    assert.equal(newer.code, 1);
    assert.match(newer.stderr, /written by a newer Baton \(format 99/);
    assert.deepEqual(readFileSync(database(data)), before);
  });
});
