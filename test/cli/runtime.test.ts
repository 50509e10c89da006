import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { CodeReviewService, Welcome_Outcome as Outcome } from "../../src/gen/codereview/v1/codereview_pb.ts";
import { edit, Stream } from "../relay/harness.ts";
import { runtimes } from "../support/runtimes.ts";
import { createBench, launcher, repository } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

type RuntimeName = keyof typeof runtimes;
const names = ["bun", "node"] as const;
const ended = (code: number) => ({ code, signal: null });

/** A relay by its launcher, on the runtime that is asked for, with what its greeting says. */
async function start(runtime: RuntimeName, dataDir: string) {
  const env = { BATON_RUNTIME: runtime, BATON_DATA_DIR: dataDir };
  const run = bench.run(runtimes.node, [launcher, "start", "--port", "0"], { env });
  const [, url = ""] = await run.printed(/^Baton \S+ listens on (http:\/\/\S+)$/m);
  const [curl] = await run.printed(/^curl .*$/m);
  const [token] = await run.printed(/^eyJ\S+$/m);
  assert.match(run.stdout, new RegExp(`; ${runtime} [0-9]`, "i"));
  return {
    run,
    curl,
    client: () => createClient(CodeReviewService, createConnectTransport({ baseUrl: url, httpVersion: "2" })),
    token,
    async stop(): Promise<void> {
      run.child.kill("SIGINT");
      assert.deepEqual(await run.exit, ended(0));
      assert.deepEqual(
        run.logs
          .map(({ message }) => message)
          .filter((message) => /^(stopping|draining|stopped)$/.test(String(message))),
        ["stopping", "draining", "stopped"],
      );
      assert.deepEqual(
        readdirSync(dataDir).filter((name) => name.startsWith("baton.sqlite")),
        ["baton.sqlite"],
        "a closed log leaves one file",
      );
    },
  };
}

type Program = "src/cli/main.ts" | "dist/cli/main.js";

interface Launch {
  readonly runtime?: RuntimeName;
  /** What npm installed beside it under the name of the runtime: a script of this size, padded, that says so. */
  readonly installedBytes?: number;
}

/** A launcher that thinks to run on this Node, in a folder of its own with a program that says on what it runs. */
function launchOn(version: string, program: Program, { runtime = "node", installedBytes }: Launch = {}) {
  const folder = bench.folder();
  const write = (path: string, text: string, mode = 0o600) => {
    mkdirSync(join(folder, path, ".."), { recursive: true });
    writeFileSync(join(folder, path), text, { mode });
  };
  write("bin/baton.mjs", readFileSync(launcher, "utf8"));
  write(program, 'process.stdout.write(["here", ...process.execArgv].join(" ") + "\\n");');
  if (installedBytes !== undefined) {
    write(`node_modules/${runtime}/package.json`, `{ "version": "26.0.0", "bin": { "${runtime}": "program" } }`);
    write(`node_modules/${runtime}/program`, "#!/bin/sh\necho installed\nexit\n".padEnd(installedBytes, "#"), 0o700);
  }
  const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });`;
  const args = ["--import", `data:text/javascript,${encodeURIComponent(pretend)}`, join(folder, "bin/baton.mjs")];
  return bench.run(runtimes.node, args, { cwd: folder, env: { BATON_RUNTIME: runtime } });
}

/** As a package of a runtime weighs once its install script ran; before, it holds a short text. */
const wholeBytes = 2 * 1024 * 1024;
/** So that nobody reads of what Node calls experimental: types left out, and SQLite. */
const ranHere = "here --disable-warning=ExperimentalWarning\n";

describe("BATON_RUNTIME", () => {
  for (const name of names) {
    test(`NR5 ${name} is what the launcher runs on`, async () => {
      const run = bench.run(runtimes.node, [launcher, "check"], { env: { BATON_RUNTIME: name } });
      assert.deepEqual(await run.exit, ended(0));
      assert.match(run.stdout, new RegExp(`^BATON_RUNTIME=${name}$`, "m"));
      assert.equal(run.stderr, "");
    });

    test(`NR5 ${name} is a fault where the other one runs already`, async () => {
      const other = name === "bun" ? "node" : "bun";
      const main = join(repository, "src/cli/main.ts");
      const run = bench.run(runtimes[other], [main, "check"], { env: { BATON_RUNTIME: name } });
      assert.deepEqual(await run.exit, ended(78));
      assert.match(
        run.stderr,
        new RegExp(`^BATON_RUNTIME: asks for ${name}, and this is ${other} [0-9.]+; .*launcher`, "i"),
      );
    });
  }

  test("NR5 left out it is Bun, and a runtime that there is not is a fault", async () => {
    const run = bench.run(runtimes.node, [launcher, "check"]);
    assert.deepEqual(await run.exit, ended(0));
    assert.match(run.stdout, /^BATON_RUNTIME=bun$/m);
    const wrong = bench.run(runtimes.node, [launcher, "check"], { env: { BATON_RUNTIME: "Node" } });
    assert.deepEqual(await wrong.exit, ended(78));
    assert.equal(wrong.stderr, "BATON_RUNTIME: must be bun, node or deno; leave it out for bun\n");
  });

  for (const [program, enough, tooOld] of [
    ["src/cli/main.ts", ["22.18.0", "22.20.1", "24.0.0"], ["18.20.8", "20.20.2", "22.17.9", "23.11.1"]],
    ["dist/cli/main.js", ["22.13.0", "26.10.0"], ["20.20.2", "22.12.0", "23.11.1"]],
  ] as const) {
    test(`NR5 ${program} needs a Node that can run it`, async () => {
      for (const version of enough) {
        const run = launchOn(version, program);
        assert.deepEqual(await run.exit, ended(0), version);
        assert.equal(run.stdout, ranHere);
      }
      for (const version of tooOld) {
        const run = launchOn(version, program);
        assert.deepEqual(await run.exit, ended(1), version);
        assert.equal(run.stdout, "");
        assert.match(
          run.stderr,
          new RegExp(`^baton: BATON_RUNTIME=node needs Node ${enough[0].slice(0, 5)} .* ${version};[^\n]*\n$`),
        );
      }
    });
  }

  test("NR5 the Node that the launcher runs on comes first, then the one that npm installed", async () => {
    const able = launchOn("24.0.0", "src/cli/main.ts", { installedBytes: wholeBytes });
    assert.deepEqual(await able.exit, ended(0));
    assert.equal(able.stdout, ranHere);
    const tooOld = launchOn("20.1.0", "src/cli/main.ts", { installedBytes: wholeBytes });
    assert.deepEqual(await tooOld.exit, ended(0));
    assert.equal(tooOld.stdout, "installed\n");
  });

  for (const [runtime, says] of [
    ["node", /^baton: BATON_RUNTIME=node needs Node [^\n]*\n$/],
    ["bun", /^baton: Bun is not installed [^\n]*npm ci\n$/],
  ] as const) {
    test(`NR5 a ${runtime} of npm whose install script did not run is none`, async () => {
      const run = launchOn("20.1.0", "src/cli/main.ts", { runtime, installedBytes: 400 });
      assert.deepEqual(await run.exit, ended(1));
      assert.equal(run.stdout, "");
      assert.match(run.stderr, says);
    });
  }
});

describe("a relay on either runtime", () => {
  for (const name of names) {
    test(`NR6 on ${name} the line to paste shows what comes, and a Ctrl-C drains it`, async () => {
      const relay = await start(name, join(bench.folder(), "data"));
      const watcher = bench.run("sh", ["-c", relay.curl]);
      await watcher.printed(/"welcome"/);
      const alice = new Stream(relay.client(), relay.token);
      alice.send({ case: "join", value: { clientId: "a" } }, { sessionId: "demo" });
      await alice.take("welcome");
      alice.send(edit("a.ts", 0, 0, 0, "seen by curl"), { clientSeq: 1n });
      await alice.take("ack");
      await watcher.printed(/seen by curl/);
      await relay.stop();
      const { fault } = await alice.ended;
      assert.equal(fault?.reason, "DRAIN");
      assert.deepEqual(await watcher.exit, ended(0));
      assert.match(watcher.stdout, /DRAIN/);
    });
  }

  test("NR7 a data folder goes from Bun to Node and back, and everything goes on", async () => {
    const dataDir = join(bench.folder(), "data");
    const rounds = 3;
    let resumeToken = "";
    let lastSeq = 0n;
    for (const [index, name] of (["bun", "node", "bun", "node"] as const).entries()) {
      const relay = await start(name, dataDir);
      const alice = new Stream(relay.client(), relay.token);
      const join = index === 0 ? { clientId: "a" } : { clientId: "a", resumeToken, lastSeq };
      alice.send({ case: "join", value: join }, { sessionId: "demo" });
      const welcome = await alice.take("welcome");
      assert.equal(welcome.outcome, index === 0 ? Outcome.NEW : Outcome.RESUMED, name);
      assert.deepEqual([welcome.headSeq, welcome.lastClientSeq], [lastSeq, lastSeq]);
      resumeToken = welcome.resumeToken;
      for (let n = 0; n < rounds; n++) {
        lastSeq += 1n;
        alice.send(edit("a.ts", Number(lastSeq) - 1, 0, 0, `${lastSeq}`), { clientSeq: lastSeq });
        assert.equal((await alice.take("ack")).seq, lastSeq);
      }
      const seqs: bigint[] = [];
      const headers = { authorization: `Bearer ${relay.token}` };
      for await (const { seq } of relay.client().readLog({ sessionId: "demo", fromSeq: 1n }, { headers }))
        seqs.push(seq);
      assert.deepEqual(
        seqs,
        Array.from({ length: Number(lastSeq) }, (_, at) => BigInt(at + 1)),
      );
      alice.cut();
      await relay.stop();
    }
    assert.equal(lastSeq, 12n);
  });
});
