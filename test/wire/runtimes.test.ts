// The suites of this folder once more, over the listeners of the other runtimes: each as a program of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { repository } from "../cli/run-baton.ts";
import { runtimes, unlessDeno } from "../support/runtimes.ts";
import { type ListenerName, listenerHere } from "./harness.ts";

const suites = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith(".test.ts") && name !== "runtimes.test.ts")
  .map((name) => relative(repository, join(import.meta.dirname, name)));

interface Suites {
  readonly command: string;
  readonly args: readonly string[];
  readonly passed: RegExp;
  readonly listener?: ListenerName;
  readonly only?: RegExp;
  readonly atLeast?: number;
}

const onDeno = { command: runtimes.node, args: ["scripts/test-deno.mjs"], passed: /^(\d+) passed, 0 failed/m };

const runs: Record<string, Suites> = {
  "node:http2 on Bun": { command: process.execPath, args: ["test", "--timeout", "60000"], passed: /^ *(\d+) pass$/m },
  "node:http2 on Node": {
    command: runtimes.node,
    args: ["--test", "--test-timeout=60000", "--test-reporter=tap"],
    passed: /^# pass (\d+)$/m,
  },
  // It keeps none of the limits of a connection: what holds there is how bodies go, and end.
  "Deno.serve": {
    ...onDeno,
    listener: "Deno.serve",
    only: /(bodies|deno-sockets|early-answer|listen|socket|socket-ends|tls|vanish)\.test\.ts$/,
    atLeast: 90,
  },
};

/** Each runs hundreds of tests that wait for time to pass; a busy machine takes several times as long as a quiet one. */
const patienceMs = 240_000;

/** This run is one of them. */
const isInner = listenerHere !== "Bun.serve";

describe("the other listeners", { skip: isInner }, () => {
  for (const [title, { command, args, passed, listener = "node:http2", only = /./, atLeast = 150 }] of Object.entries(
    runs,
  )) {
    const skipped = title.includes("Deno") ? unlessDeno : "";
    test(`LS1 what holds of the wire holds over ${title}${skipped}`, {
      skip: skipped !== "",
      timeout: patienceMs,
    }, async () => {
      const options = {
        cwd: repository,
        env: { ...process.env, WIRE_LISTENER: listener },
        maxBuffer: 64 * 1024 * 1024,
      };
      const { failure, output } = await new Promise<{ failure: Error | null; output: string }>((resolve) => {
        execFile(
          command,
          [...args, ...suites.filter((name) => only.test(name))],
          options,
          (failure, stdout, stderr) => {
            resolve({ failure, output: stdout + stderr });
          },
        );
      });
      assert.equal(failure, null, output.slice(-8_000));
      assert.ok(Number(passed.exec(output)?.[1]) > atLeast, output.slice(-1_000));
    });
  }
});
