import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { decodeJwt, decodeProtectedHeader, jwtVerify } from "jose";
import { variableNames } from "../../src/cli/config-schema.ts";
import { createBench, launcher } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const secret = "canary-PINEAPPLE-0123456789abcdef-0123456789";
const ended = (code: number) => ({ code, signal: null });
const publicKey = () => generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();

describe("baton token", () => {
  test("CL7 prints a token and nothing else, signed with the configured secret", async () => {
    const env = { BATON_JWT_SECRET: secret, BATON_JWT_ISSUER: "https://issuer.example", BATON_JWT_AUDIENCE: "baton" };
    const args = ["token", "--sub", "alice", "--session", "demo", "--session", "team-a/*", "--ttl", "2h"];
    const run = bench.baton(args, { env });
    assert.deepEqual(await run.exit, ended(0));
    assert.match(run.stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    assert.equal(run.stderr, "");
    const { payload } = await jwtVerify(run.stdout.trim(), new TextEncoder().encode(secret), {
      issuer: "https://issuer.example",
      audience: "baton",
    });
    assert.deepEqual(payload.sessions, ["demo", "team-a/*"]);
    assert.equal(payload.sub, "alice");
    assert.equal(payload.scope, "session:read session:edit session:comment session:custom");
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 7200);
  });

  test("CL7 with no key configured, the development key of the data folder signs, the same one each time", async () => {
    const dataDir = bench.folder();
    const args = ["token", "--sub", "a", "--session", "s", "--scope", "session:read", "--data-dir", dataDir];
    const run = bench.baton(args);
    assert.deepEqual(await run.exit, ended(0));
    const token = run.stdout.trim();
    assert.equal(decodeProtectedHeader(token).alg, "HS256");
    assert.equal(decodeJwt(token).scope, "session:read");
    assert.equal((decodeJwt(token).exp ?? 0) - (decodeJwt(token).iat ?? 0), 900);
    const key = await Bun.file(join(dataDir, "dev-key")).text();
    await jwtVerify(token, new TextEncoder().encode(key.trim()));
  });

  test("CL7 with a public key alone it refuses, and says why", async () => {
    const env = { BATON_JWT_PUBLIC_KEY: publicKey(), BATON_DATA_DIR: bench.folder() };
    const run = bench.baton(["token", "--sub", "a", "--session", "s"], { env });
    assert.deepEqual(await run.exit, ended(78));
    assert.equal(run.stdout, "");
    assert.match(run.stderr, /public key checks tokens and cannot sign/);
  });

  for (const [flag, value] of [
    ["--session", "a..b"],
    ["--session", "*a"],
    ["--scope", "session:all"],
    ["--scope", " "],
    ["--ttl", "0m"],
    ["--ttl", "15"],
    ["--sub", "a\u0007b"],
  ] as const) {
    test(`CL7 ${flag} refuses ${JSON.stringify(value)}`, async () => {
      const args = ["token", "--sub", "a", "--session", "s", "--data-dir", bench.folder(), flag, value];
      const run = bench.baton(args);
      assert.deepEqual(await run.exit, ended(1));
      assert.equal(run.stdout, "");
      assert.notEqual(run.stderr, "");
    });
  }
});

describe("baton check", () => {
  test("CL8 prints what is in force, every setting, and no secret", async () => {
    const env = {
      BATON_JWT_SECRET: secret,
      BATON_RESUME_SECRET: `${secret}-2`,
      BATON_METRICS_TOKEN: "PINEAPPLE-metrics-token",
      BATON_LIMIT_WRITERS: "17",
      BATON_ALLOWED_ORIGINS: "https://app.example.com, http://localhost:5173",
    };
    const run = bench.baton(["check"], { env });
    assert.deepEqual(await run.exit, ended(0));
    const lines = run.stdout.trim().split("\n");
    assert.ok(lines.includes("BATON_LIMIT_WRITERS=17"));
    assert.ok(lines.includes("BATON_JWT_SECRET=(set)"));
    assert.ok(lines.includes("BATON_METRICS_TOKEN=(set)"));
    assert.ok(lines.includes("BATON_ALLOWED_ORIGINS=https://app.example.com,http://localhost:5173"));
    for (const name of variableNames)
      assert.ok(
        lines.some((line) => line.startsWith(`${name}=`)),
        name,
      );
    assert.doesNotMatch(run.stdout + run.stderr, /PINEAPPLE/);
  });

  test("CL8 tells every fault and ends with 78", async () => {
    const run = bench.baton(["check"], { env: { BATON_PORT: "x", BATON_LOG: "y" } });
    assert.deepEqual(await run.exit, ended(78));
    assert.equal(run.stdout, "");
    assert.equal(run.stderr.trim().split("\n").length, 2);
  });
});

describe("the command line", () => {
  for (const command of ["start", "token", "join", "log", "admin", "check"]) {
    test(`CL9 ${command} --help shows an example`, async () => {
      const run = bench.baton([command, "--help"]);
      assert.deepEqual(await run.exit, ended(0));
      assert.match(run.stdout, new RegExp(`Example:\\n {2}.*npx baton ${command}`));
    });
  }

  test("CL9 --version is the package's", async () => {
    const run = bench.baton(["--version"]);
    assert.deepEqual(await run.exit, ended(0));
    const manifest: unknown = await Bun.file(join(launcher, "../../package.json")).json();
    assert.ok(JSON.stringify(manifest).includes(`"version":"${run.stdout.trim()}"`));
  });

  test("CL9 a token behind a mistyped flag is not repeated", async () => {
    const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJQSU5FQVBQTEUifQ.UElORUFQUExF";
    for (const args of [[token], ["join", "demo", `--toekn=${token}`]]) {
      const run = bench.baton(args);
      assert.deepEqual(await run.exit, ended(1));
      assert.doesNotMatch(run.stdout + run.stderr, /eyJ|UElORU/);
      assert.match(run.stderr, /removed/);
    }
  });

  test("CL10 without its Bun the launcher says npm ci, in one line", async () => {
    const folder = bench.folder();
    mkdirSync(join(folder, "bin"));
    copyFileSync(launcher, join(folder, "bin/baton.mjs"));
    const run = bench.run("node", [join(folder, "bin/baton.mjs"), "check"], { cwd: folder });
    assert.deepEqual(await run.exit, ended(1));
    assert.match(run.stderr, /^[^\n]*npm ci\n$/);
  });

  test("CL10 a link to the launcher, as npm makes one, runs the same", async () => {
    const folder = bench.folder();
    symlinkSync(launcher, join(folder, "baton"));
    const run = bench.run("node", [join(folder, "baton"), "--version"], { cwd: folder });
    assert.deepEqual(await run.exit, ended(0));
  });
});
