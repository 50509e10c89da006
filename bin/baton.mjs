#!/usr/bin/env node
// Runs the CLI on the Bun that npm installed here: this machine needs Node and npm alone. Plain Node 20, no dependency.
import { spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** Until its install script ran, the package holds a text of some hundred bytes in place of the program. */
const minBunBytes = 1024 * 1024;

/**
 * Signals that come closer together than this are one: npm hands on a Ctrl-C that the terminal has told this process
 * of already.
 */
const sameSignalMs = 500;

/** The path of Bun's program, or undefined where it is not installed. */
function findBun() {
  try {
    const manifest = createRequire(import.meta.url).resolve("bun/package.json");
    const path = join(dirname(manifest), JSON.parse(readFileSync(manifest, "utf8")).bin.bun);
    return statSync(path).size >= minBunBytes ? path : undefined;
  } catch {
    return undefined;
  }
}

function failWithoutBun() {
  process.stderr.write("baton: Bun is not installed beside it; run: npm ci\n");
  process.exitCode = 1;
}

function run(bun) {
  const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
  // Configuration is the environment alone, and nothing is fetched at run time: both are Bun's to do unless told not to.
  const args = ["--no-env-file", "--no-install", main, ...process.argv.slice(2)];
  const child = spawn(bun, args, { stdio: "inherit", env: { ...process.env, _BATON_LAUNCHER: "1" } });

  // A terminal's Ctrl-C reaches the child as well, a `kill` of this process does not. So the child heeds SIGTERM alone,
  // and each stop becomes exactly one. On Windows the console tells the child itself, and SIGTERM would kill it.
  let lastSentMs = Number.NEGATIVE_INFINITY;
  const handOn = () => {
    const nowMs = performance.now();
    if (process.platform === "win32" || nowMs - lastSentMs < sameSignalMs) return;
    lastSentMs = nowMs;
    child.kill("SIGTERM");
  };
  process.on("SIGINT", handOn);
  process.on("SIGTERM", handOn);

  child.on("error", failWithoutBun);
  child.on("exit", (code, signal) => {
    if (signal === null) {
      process.exitCode = code ?? 1;
      return;
    }
    process.off("SIGINT", handOn);
    process.off("SIGTERM", handOn);
    process.kill(process.pid, signal);
  });
}

const bun = findBun();
if (bun === undefined) failWithoutBun();
else run(bun);
