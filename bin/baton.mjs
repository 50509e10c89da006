#!/usr/bin/env node
// Runs the CLI on the Bun that npm installed here, or on Node or Deno where BATON_RUNTIME says so: this machine needs Node
// and npm alone. Plain Node 20, no dependency.
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** A clone runs its sources; the package, which has none, what was built of them. */
const source = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const runsSource = existsSync(source);
const main = runsSource ? source : fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** Of Node 22: `node:sqlite` without a flag, and for sources the types left out. */
const minNodeMinor = runsSource ? 18 : 13;

/** Until its install script ran, a package of a runtime holds a text of some hundred bytes in place of the program. */
const minRuntimeBytes = 1024 * 1024;

/**
 * Signals that come closer together than this are one: npm hands on a Ctrl-C that the terminal has told this process
 * of already.
 */
const sameSignalMs = 500;

/** The path and version of a runtime that npm installed, or undefined where it is not there. */
function findInstalled(name) {
  try {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    const { bin, version } = JSON.parse(readFileSync(manifest, "utf8"));
    const path = join(dirname(manifest), bin[name]);
    return statSync(path).size >= minRuntimeBytes ? { path, version } : undefined;
  } catch {
    return undefined;
  }
}

/** The path of the Deno that npm installed, or undefined. Its package brings the program with or without install scripts. */
function findDeno() {
  try {
    const manifest = createRequire(import.meta.url).resolve("deno/package.json");
    return createRequire(manifest)("./install_api.cjs").runInstall();
  } catch {
    return undefined;
  }
}

/** What any command may need; `deno task start` asks for less. Nothing is run, and nothing is fetched to be run. */
const denoFlags = [
  "run",
  "--quiet",
  "--no-prompt",
  "--no-remote",
  ...["net", "read", "write", "env", "sys"].map((kind) => `--allow-${kind}`),
];

/** From 22 on; 23 was never supported for long. */
function canRun(nodeVersion) {
  const [major, minor] = nodeVersion.split(".").map(Number);
  return major >= 24 || (major === 22 && minor >= minNodeMinor);
}

/** The command that runs the CLI, or what stands in its way. */
function planRun() {
  if (process.env.BATON_RUNTIME === "deno") {
    const deno = findDeno();
    if (deno !== undefined) return { command: deno, args: [...denoFlags, main] };
    return { fault: "BATON_RUNTIME=deno needs the npm package deno beside it; run: npm ci, or npm install deno" };
  }
  if (process.env.BATON_RUNTIME !== "node") {
    const bun = findInstalled("bun");
    // Configuration is the environment alone, and nothing is fetched at run time: both are Bun's to do unless told not to.
    if (bun !== undefined) return { command: bun.path, args: ["--no-env-file", "--no-install", main] };
    return { fault: "Bun is not installed beside it; run: npm ci" };
  }
  const here = { path: process.execPath, version: process.versions.node };
  const node = [here, findInstalled("node")].find((one) => one !== undefined && canRun(one.version));
  // What Node still calls experimental: types left out, and SQLite.
  if (node !== undefined) return { command: node.path, args: ["--disable-warning=ExperimentalWarning", main] };
  return {
    fault: `BATON_RUNTIME=node needs Node 22.${minNodeMinor} or later, and this is ${here.version}; take a newer one, or unset it to run on Bun`,
  };
}

function fail(fault) {
  process.stderr.write(`baton: ${fault}\n`);
  process.exitCode = 1;
}

function run(command, args) {
  const child = spawn(command, [...args, ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, _BATON_LAUNCHER: "1" },
  });

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

  child.on("error", ({ code }) => fail(`${command} does not run (${code}); run: npm ci`));
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

const { fault, command, args } = planRun();
if (fault === undefined) run(command, args);
else fail(fault);
