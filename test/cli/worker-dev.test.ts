import assert from "node:assert/strict";
import { readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { after, describe, test } from "node:test";
import { createBench, repository } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

/** What of a clone `wrangler dev` reads; what is written, is written beside it. */
function makeClone(): string {
  const folder = bench.folder();
  for (const name of ["bin", "node_modules", "package.json", "scripts", "src", "tsconfig.json", "wrangler.toml"]) {
    symlinkSync(join(repository, name), join(folder, name));
  }
  return folder;
}

/** As npm runs a script: the programs that it installed come first. */
const path = `${join(repository, "node_modules/.bin")}${delimiter}${process.env.PATH}`;

function startDev(cwd: string) {
  const env = { PATH: path, CI: "1", BATON_JWT_SECRET: "of a relay beside, and not for this one, nor in the file" };
  return bench.run("node", ["scripts/worker-dev.mjs", "--port", "0", "--inspector-port", "0"], {
    cwd,
    env,
    ownGroup: true,
  });
}

describe("npm run worker:dev", () => {
  test("EX10 what `baton join` says with the development key is taken by the worker", async () => {
    const cwd = makeClone();
    const dev = startDev(cwd);
    const [, port] = await dev.printed(/Ready on http:\/\/\S+?:(\d+)/);
    const key = readFileSync(join(cwd, "data/dev-key"), "utf8");
    assert.equal(readFileSync(join(cwd, ".dev.vars"), "utf8"), `BATON_JWT_SECRET=${key}`);
    assert.equal(statSync(join(cwd, ".dev.vars")).mode & 0o077, 0);
    assert.ok(!`${dev.stdout}${dev.stderr}`.includes(key.trim()));
    const args = ["join", "demo", "--sub", "alice", "--url", `http://127.0.0.1:${port}`, "--data-dir"];
    const alice = bench.baton([...args, join(cwd, "data")]);
    assert.deepEqual(await alice.exit, { code: 0, signal: null }, alice.stderr);
    assert.match(alice.stdout, /^\{"event":"welcome",.*"outcome":"new"/);
    process.kill(-(dev.child.pid ?? 0), "SIGINT");
    assert.equal((await dev.exit).signal, null);
  });

  test("EX10 settings that are there are left as they are", async () => {
    const cwd = makeClone();
    const own = "BATON_JWT_SECRET=short\nBATON_LIMIT_WRITERS=none\n";
    writeFileSync(join(cwd, ".dev.vars"), own);
    const dev = startDev(cwd);
    const [, port] = await dev.printed(/Ready on http:\/\/\S+?:(\d+)/);
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
    assert.match(await answer.text(), /BATON_LIMIT_WRITERS/);
    assert.equal(answer.ok, false);
    assert.equal(readFileSync(join(cwd, ".dev.vars"), "utf8"), own);
    process.kill(-(dev.child.pid ?? 0), "SIGINT");
    await dev.exit;
  });
});
