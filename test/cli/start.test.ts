import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, describe, test } from "node:test";
import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet } from "../../src/auth/keys.ts";
import { createTokenVerifier } from "../../src/auth/verify.ts";
import { openDevKey } from "../../src/cli/dev-key.ts";
import { createBench, launcher, type Run, repository } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const secret = "canary-PINEAPPLE-0123456789abcdef-0123456789";
const listening = /^Baton \S+ listens on (http:\/\/\S+)$/m;

/** A relay on a free port, with a folder of its own. */
async function start(env: Readonly<Record<string, string>> = {}) {
  const dataDir = join(bench.folder(), "data");
  const run = bench.baton(["start", "--port", "0"], { env: { BATON_DATA_DIR: dataDir, ...env } });
  const [, url = ""] = await run.printed(listening);
  await run.printed(/^curl .*\n/m);
  return { run, url, dataDir };
}

const slowDrain = join(repository, "test/cli/fixtures/slow-drain.ts");

/** A copy of the launcher that runs another program. */
function folderOfLauncher(program: string): string {
  const folder = bench.folder();
  for (const name of ["bin", "src/cli"]) mkdirSync(join(folder, name), { recursive: true });
  copyFileSync(launcher, join(folder, "bin/baton.mjs"));
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  writeFileSync(join(folder, "src/cli/main.ts"), program);
  return folder;
}

function launchSlowDrain(takesMs: string): Run {
  const folder = folderOfLauncher(`import ${JSON.stringify(slowDrain)};`);
  return bench.run("node", [join(folder, "bin/baton.mjs"), "600000", takesMs], { ownGroup: true });
}

const count = (run: Run, message: string) => run.logs.filter((line) => line.message === message).length;

describe("baton start", () => {
  test("CL1 prints where it listens, its folder, its key, a token, and a line to paste", async () => {
    const { run, url, dataDir } = await start();
    assert.match(url, /^http:\/\/127\.0\.0\.1:[1-9][0-9]*$/);
    assert.ok(run.stdout.includes(dataDir));
    assert.match(run.stdout, /development key/);
    const token = /^eyJ\S+$/m.exec(run.stdout)?.[0] ?? "";
    const imported = await importSecret(await openDevKey(dataDir));
    assert.equal(imported.kind, "keys");
    if (imported.kind !== "keys") return;
    const verifier = createTokenVerifier({ keys: createKeySet(imported.keys), skewMs: 0, maxTokenBytes: 8192 });
    const principal = await verifier.verify(token, Date.now() + 1000);
    assert.equal(principal.userId, "alice");
    const curl = run.stdout.split("\n").filter((line) => line.startsWith("curl "));
    assert.equal(curl.length, 1);
    assert.ok(curl[0]?.includes(token) && curl[0].includes(`${url}/codereview.v1.CodeReviewService/Subscribe`));
    assert.deepEqual(
      readdirSync(dataDir).filter((name) => /dev-key|hello/.test(name)),
      ["dev-key", "hello.request"],
    );
  });

  test("CL1 answers /healthz and /readyz", async () => {
    const { url } = await start();
    for (const path of ["/healthz", "/readyz"]) {
      const response = await fetch(url + path);
      assert.equal(response.status, 200);
      assert.equal(response.headers.get("cache-control"), "no-store");
      await response.text();
    }
  });

  test("CL2 with a configured key no token is printed, and the key nowhere", async () => {
    const { run, dataDir } = await start({
      BATON_JWT_SECRET: secret,
      BATON_RESUME_SECRET: `${secret}-resume`,
      BATON_LOG_LEVEL: "trace",
    });
    run.child.kill("SIGTERM");
    await run.exit;
    assert.doesNotMatch(run.stdout + run.stderr, /eyJ|PINEAPPLE/);
    assert.match(run.stdout, /^curl .*\$TOKEN/m);
    assert.equal(existsSync(join(dataDir, "dev-key")), false);
  });

  test("CL2 nor is the development key, or a token in a log line", async () => {
    const { run, dataDir } = await start({ BATON_LOG_LEVEL: "trace" });
    run.child.kill("SIGTERM");
    await run.exit;
    const key = new TextDecoder().decode(await openDevKey(dataDir));
    assert.ok(!(run.stdout + run.stderr).includes(key));
    assert.ok(run.logs.length > 0);
    assert.doesNotMatch(run.stderr, /eyJ/);
  });

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`CL3 ${signal} to the launcher drains once and ends with 0`, async () => {
      const { run } = await start();
      run.child.kill(signal);
      assert.deepEqual(await run.exit, { code: 0, signal: null });
      assert.equal(count(run, "stopping"), 1);
      assert.equal(count(run, "stopped"), 1);
    });
  }

  test("CL3 a Ctrl-C, which the terminal tells the whole group and npm hands on as well, drains once", async () => {
    const run = launchSlowDrain("1000");
    await run.printed(/waiting/);
    assert.ok(run.child.pid !== undefined);
    process.kill(-run.child.pid, "SIGINT");
    run.child.kill("SIGINT");
    run.child.kill("SIGTERM");
    assert.deepEqual(await run.exit, { code: 0, signal: null });
    assert.equal(run.stdout.match(/draining/g)?.length, 1);
  });

  test("CL4 a second signal to the launcher, later than that, ends a drain at once", async () => {
    const run = launchSlowDrain("600000");
    await run.printed(/waiting/);
    const impatient = setInterval(() => run.child.kill("SIGINT"), 50);
    const exit = await run.exit;
    clearInterval(impatient);
    assert.deepEqual(exit, { code: 143, signal: null });
  });

  test("CL4 a launcher whose program dies of a signal dies of it too", async () => {
    const folder = folderOfLauncher('process.kill(process.pid, "SIGKILL");');
    const run = bench.run("node", [join(folder, "bin/baton.mjs")]);
    assert.deepEqual(await run.exit, { code: null, signal: "SIGKILL" });
  });

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    test(`CL4 a second ${signal} ends a drain at once`, async () => {
      const run = bench.run(process.execPath, [slowDrain, "600000", "600000"]);
      await run.printed(/waiting/);
      run.child.kill(signal);
      await run.printed(/draining/);
      run.child.kill(signal);
      assert.deepEqual(await run.exit, { code, signal: null });
      assert.equal(run.stdout.match(/draining/g)?.length, 1);
    });
  }

  test("CL4 a drain that does not end in its time ends with 1", async () => {
    const run = bench.run(process.execPath, [slowDrain, "1", "600000"]);
    await run.printed(/waiting/);
    run.child.kill("SIGTERM");
    assert.deepEqual(await run.exit, { code: 1, signal: null });
  });

  test("CL5 a port in use is named, and ends with 1", async () => {
    const first = await start();
    const port = new URL(first.url).port;
    const second = bench.baton(["start", "--port", port, "--data-dir", bench.folder()]);
    assert.deepEqual(await second.exit, { code: 1, signal: null });
    assert.match(second.stderr, new RegExp(`^cannot listen on 127\\.0\\.0\\.1:${port}: `, "m"));
    assert.doesNotMatch(second.stderr, /\n\s+at |\.ts:/);
    assert.equal(second.stdout, "");
  });

  test("CL5 an address that is not this machine's is named, and ends with 78", async () => {
    const env = { BATON_JWT_SECRET: secret, BATON_HOST: "192.0.2.1", BATON_DATA_DIR: bench.folder() };
    const run = bench.baton(["start", "--port", "0"], { env });
    assert.deepEqual(await run.exit, { code: 78, signal: null });
    assert.match(run.stderr, /BATON_HOST/);
  });

  test("CL5 a data folder that cannot be written is named, and ends with 78", async () => {
    const file = join(bench.folder(), "file");
    writeFileSync(file, "");
    const run = bench.baton(["start", "--port", "0", "--data-dir", join(file, "data")]);
    assert.deepEqual(await run.exit, { code: 78, signal: null });
    assert.match(run.stderr, /^the data folder \S+ cannot be written \(ENOTDIR\); .*BATON_DATA_DIR/);
    assert.equal(run.stderr.trim().split("\n").length, 1);
  });

  test("CL5 not on loopback and no key ends with 78", async () => {
    const dataDir = bench.folder();
    const run = bench.baton(["start", "--host", "0.0.0.0", "--port", "0", "--data-dir", dataDir]);
    assert.deepEqual(await run.exit, { code: 78, signal: null });
    assert.match(run.stderr, /^--host: .*no key is set/);
    assert.deepEqual(readdirSync(dataDir), []);
  });

  test("CL5 a faulty configuration ends with 78 and a line for each fault, none with a value", async () => {
    const env = { BATON_JWT_SECRET: "PINEAPPLE", BATON_PORT: "PINEAPPLE", BATON_PINEAPPL: "PINEAPPLE" };
    const run = bench.baton(["start"], { env });
    assert.deepEqual(await run.exit, { code: 78, signal: null });
    assert.equal(run.stdout, "");
    assert.deepEqual(
      run.stderr
        .trim()
        .split("\n")
        .map((line) => line.split(":")[0])
        .sort(),
      ["BATON_JWT_SECRET", "BATON_PINEAPPL", "BATON_PORT"],
    );
    assert.doesNotMatch(run.stderr, /PINEAPPLE/);
  });

  test("CL6 no .env file of the folder it runs in has a say", async () => {
    const cwd = bench.folder();
    writeFileSync(join(cwd, ".env"), "BATON_PORT=nonsense\n");
    const run = bench.baton(["check"], { cwd });
    assert.deepEqual(await run.exit, { code: 0, signal: null });
    assert.match(run.stdout, /^BATON_PORT=8080$/m);
  });
});
