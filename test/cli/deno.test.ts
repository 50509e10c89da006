import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { z } from "zod";
import { CodeReviewService } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { assertCarriesStreams } from "../../src/runtime/deno-version.ts";
import { StartError } from "../../src/runtime/start-error.ts";
import { edit, Stream } from "../relay/harness.ts";
import { runtimes, unlessDeno } from "../support/runtimes.ts";
import { createBench, type Run, repository } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const options = { skip: unlessDeno !== "" };
const ended = (code: number) => ({ code, signal: null });
const secret = "canary-PINEAPPLE-0123456789abcdef-0123456789";

const configSchema = z.object({
  tasks: z.object({ start: z.object({ command: z.string() }) }),
  deploy: z.object({ runtime: z.object({ type: z.literal("dynamic"), entrypoint: z.string() }) }),
});
const config = configSchema.parse(JSON.parse(readFileSync(join(repository, "deno.json"), "utf8")));

/** A clone after `npm ci`, in a folder of its own. */
function makeClone(): string {
  const folder = bench.folder();
  for (const name of ["src", "proto"]) cpSync(join(repository, name), join(folder, name), { recursive: true });
  for (const name of ["deno.json", "package.json"]) copyFileSync(join(repository, name), join(folder, name));
  symlinkSync(join(repository, "node_modules"), join(folder, "node_modules"));
  return folder;
}

async function holdSession(run: Run) {
  const [, url = ""] = await run.printed(/^Baton \S+ listens on (http:\/\/\S+)$/m);
  const [token] = await run.printed(/^eyJ\S+$/m);
  const client = createClient(CodeReviewService, createConnectTransport({ baseUrl: url, httpVersion: "2" }));
  const alice = new Stream(client, token);
  alice.send({ case: "join", value: { clientId: "a" } }, { sessionId: "demo" });
  await alice.take("welcome");
  alice.send(edit("a.ts", 0, 0, 0, "text"), { clientSeq: 1n });
  await alice.take("ack");
  return alice;
}

describe("a release of Deno", () => {
  test("DN1 from 2.9.6 on it carries streams; an older one is refused by its number", () => {
    for (const version of ["2.9.6", "2.9.10", "2.10.0", "3.0.0"]) assertCarriesStreams(version, false);
    for (const version of ["2.9.5", "2.8.3", "2.5.0", "1.46.3"]) {
      assert.throws(
        () => assertCarriesStreams(version, false),
        (error) => error instanceof StartError && error.message.startsWith(`Deno ${version} `),
      );
      assertCarriesStreams(version, true);
    }
  });
});

describe("deno task start", () => {
  test(`DN2 greets, serves and drains, with no permission but those of the task${unlessDeno}`, options, async () => {
    const cwd = makeClone();
    const run = bench.run(runtimes.deno, ["task", "start", "--port", "0"], { cwd, ownGroup: true });
    const alice = await holdSession(run);
    assert.match(run.stdout, /; Deno [0-9]/);
    assert.match(run.stdout, /^Native gRPC: none on Deno [0-9.]+$/m);
    // As a terminal's Ctrl-C: to the whole group. `deno task` hands no signal on.
    process.kill(-(run.child.pid ?? 0), "SIGINT");
    const { fault } = await alice.ended;
    assert.equal(fault?.reason, "DRAIN");
    // `deno task` itself ends with 130, before the relay does; the pipes close behind both.
    await run.exit;
    assert.ok(run.logs.some(({ message }) => message === "stopped"));
    assert.ok(existsSync(join(cwd, "data/baton.sqlite")));
  });

  test(`DN3 nothing is written outside of ./data, and nothing is run${unlessDeno}`, options, async () => {
    const cwd = makeClone();
    const elsewhere = join(bench.folder(), "data");
    const run = bench.run(runtimes.deno, ["task", "start", "--port", "0", "--data-dir", elsewhere], { cwd });
    assert.equal((await run.exit).code, 78);
    assert.match(run.stderr, /cannot be written \(not among the paths of --allow-read and --allow-write\)/);
    assert.equal(existsSync(elsewhere), false);
    const flags = config.tasks.start.command.split(" ").filter((word) => word.startsWith("--allow"));
    assert.deepEqual(flags.sort(), [
      "--allow-env",
      "--allow-net",
      "--allow-read=package.json,data",
      "--allow-sys",
      "--allow-write=data",
    ]);
  });
});

describe("Deno Deploy", () => {
  const deploy = (env: Record<string, string>) =>
    bench.run(runtimes.deno, ["run", "--allow-all", "--quiet", config.deploy.runtime.entrypoint], {
      env: { DENO_DEPLOY: "true", BATON_JWT_SECRET: secret, ...env },
    });

  test(`DN4 a log in SQLite is refused, by name${unlessDeno}`, options, async () => {
    const run = deploy({});
    assert.deepEqual(await run.exit, ended(78));
    assert.match(run.stderr, /^BATON_LOG: is sqlite, .*Deno Deploy/m);
  });

  test(`DN5 it listens where the platform says, and a SIGINT drains it${unlessDeno}`, options, async () => {
    const run = deploy({ BATON_LOG: "memory", BATON_PORT: "0", DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0" });
    await run.logged("listening");
    const url = String(run.logs.find(({ message }) => message === "listening")?.url).replace("0.0.0.0", "127.0.0.1");
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    run.child.kill("SIGINT");
    assert.deepEqual(await run.exit, ended(0));
    await run.logged("stopped");
  });
});

describe("one binary", () => {
  const skipped = process.env.TEST_BINARY === undefined ? " (skipped: it takes a while; TEST_BINARY=1)" : "";
  test(`DN6 starts in an empty folder, serves and drains${skipped}`, {
    skip: skipped !== "",
  }, async () => {
    execFileSync("npm", ["run", "build:binary"], { cwd: repository, stdio: "ignore" });
    const cwd = join(bench.folder(), "empty");
    mkdirSync(cwd);
    const program = join(repository, "dist-binary/baton");
    const run = bench.run(program, ["start", "--port", "0"], { cwd });
    const alice = await holdSession(run);
    assert.match(run.stdout, /another: baton token --sub alice/);
    assert.ok(!run.stdout.includes("npx"));
    run.child.kill("SIGTERM");
    assert.equal((await alice.ended).fault?.reason, "DRAIN");
    assert.deepEqual(await run.exit, ended(0));

    const measuring = bench.run(program, ["bench"], { cwd });
    assert.deepEqual(await measuring.exit, ended(1));
    assert.match(measuring.stderr, /^baton bench runs programs of the sources, .* run it in a clone$/m);
    const elsewhere = bench.run(program, ["check"], { cwd, env: { BATON_RUNTIME: "deno" } });
    assert.deepEqual(await elsewhere.exit, ended(78));
    assert.match(elsewhere.stderr, /^BATON_RUNTIME: asks for deno, and this one file is Bun .*; unset it/m);
  });
});
