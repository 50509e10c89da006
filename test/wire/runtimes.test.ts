// The suites of this folder once more, over the listeners of the other runtimes: each as a program of its own.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join, relative } from "node:path";
import process from "node:process";
import { describe, test } from "node:test";
import { repository } from "../cli/run-baton.ts";
import { listenerHere } from "./harness.ts";

const suites = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith(".test.ts") && name !== "runtimes.test.ts")
  .map((name) => relative(repository, join(import.meta.dirname, name)));

const runs: Record<string, { readonly command: string; readonly args: readonly string[]; readonly passed: RegExp }> = {
  "node:http2 on Bun": { command: process.execPath, args: ["test", "--timeout", "60000"], passed: /^ *(\d+) pass$/m },
  "node:http2 on Node": {
    command: join(repository, "node_modules/node/bin/node"),
    args: ["--test", "--test-timeout=60000", "--test-reporter=tap"],
    passed: /^# pass (\d+)$/m,
  },
};

/** This run is one of them. */
const isInner = listenerHere !== "Bun.serve";

describe("the other listeners", { skip: isInner }, () => {
  for (const [title, { command, args, passed }] of Object.entries(runs)) {
    test(`LS1 what holds of the wire holds over ${title}`, async () => {
      const options = {
        cwd: repository,
        env: { ...process.env, WIRE_LISTENER: "node:http2" },
        maxBuffer: 64 * 1024 * 1024,
      };
      const { failure, output } = await new Promise<{ failure: Error | null; output: string }>((resolve) => {
        execFile(command, [...args, ...suites], options, (failure, stdout, stderr) => {
          resolve({ failure, output: stdout + stderr });
        });
      });
      assert.equal(failure, null, output.slice(-8_000));
      assert.ok(Number(passed.exec(output)?.[1]) > 150, output.slice(-1_000));
    });
  }
});
