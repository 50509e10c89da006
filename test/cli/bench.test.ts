import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { z } from "zod";
import { createBench } from "./run-baton.ts";

const bench = createBench();
after(() => bench.clean());

const printed = z.object({
  machine: z.object({ runtime: z.string(), cores: z.number(), folder: z.string() }),
  rows: z.array(z.object({ name: z.string(), value: z.number().positive(), unit: z.string(), note: z.string() })),
});

/** Of a process: itself and those that it started, as far as they live. Linux alone has it. */
function childrenOf(pid: number): number[] {
  const found = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return found === "" ? [] : found.split(" ").flatMap((child) => [Number(child), ...childrenOf(Number(child))]);
}

describe("baton bench", () => {
  test("CL46 measures fan-out, latency and appends, and prints them as JSON", async () => {
    const folder = bench.folder();
    const run = bench.baton(["bench", "--seconds", "0.1", "--json", "--folder", folder]);
    assert.deepEqual(await run.exit, { code: 0, signal: null }, run.stderr);
    const { machine, rows } = printed.parse(JSON.parse(run.stdout));
    assert.equal(machine.folder, folder);
    for (const what of [
      /^fan-out, 4 conn/,
      /^fan-out, 200 conn/,
      /to ack, memory/,
      /to ack, SQLite/,
      /^appends, SQLite/,
    ]) {
      assert.ok(
        rows.some(({ name }) => what.test(name)),
        `${what}`,
      );
    }
    assert.equal(run.stdout.trimEnd().split("\n").length, 1);
    assert.deepEqual(readdirSync(folder), [], "CL47: nothing is left");
  });

  test("CL46 prints a table for people, and measures for at most a minute", async () => {
    const run = bench.baton(["bench", "--seconds", "0.1", "--folder", bench.folder()]);
    assert.deepEqual(await run.exit, { code: 0, signal: null }, run.stderr);
    assert.match(run.stdout, /^fan-out, 4 connections, full speed +\d\S* us of CPU\/delivery$/m);
    assert.match(run.stdout, /^appends, SQLite log +\d\S* records\/s$/m);
    const tooLong = bench.baton(["bench", "--seconds", "6"]);
    assert.equal((await tooLong.exit).code, 1);
    assert.match(tooLong.stderr, /from 0\.1 to 5/);
  });

  test("CL47 stopped in its midst, it leaves no process and no file", {
    skip: !existsSync("/proc/self/task") && "no /proc",
  }, async () => {
    const folder = bench.folder();
    const run = bench.baton(["bench", "--seconds", "5", "--folder", folder]);
    await run.told(/measuring: latency, SQLite/);
    // The folder is there before the relay's process is.
    const children = () => childrenOf(run.child.pid ?? 0);
    while (readdirSync(folder).length === 0 || children().length < 2) {
      assert.equal(run.child.exitCode, null);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const started = children();
    run.child.kill("SIGTERM");
    assert.equal((await run.exit).code, 143);
    assert.deepEqual(readdirSync(folder), []);
    for (const pid of started) {
      while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });

  test("CL48 a folder that is not there is told in words", async () => {
    const run = bench.baton(["bench", "--seconds", "0.1", "--folder", join(bench.folder(), "none")]);
    assert.equal((await run.exit).code, 1);
    assert.match(run.stderr, /there is no folder .*none/);
    assert.doesNotMatch(run.stderr, /^measuring/m);
    assert.equal(run.stdout, "");
  });
});
