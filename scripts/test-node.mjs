// Runs on Node, the one that npm installed, what does not belong to Bun: all tests but those of the command line, which
// start programs of their own, and those named *.bun.test.ts. Ends as `npm test` does. `npm run test:node -- test/wire`
// runs a part.
import { spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

const folders = ["test/auth", "test/client", "test/durable", "test/relay", "test/runtime", "test/session", "test/wire"];

function testsIn(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts") && !name.endsWith(".bun.test.ts"))
    .map((name) => join(path, name))
    .sort();
}

const asked = process.argv.slice(2);
const files = (asked.length > 0 ? asked : folders).flatMap(testsIn);
const manifest = createRequire(import.meta.url)("node/package.json");
const node = createRequire(import.meta.url).resolve(`node/${manifest.bin.node}`);
console.log(`Node ${manifest.version}`);
const child = spawn(node, ["--test", "--test-reporter=spec", "--test-timeout=60000", ...files], {
  stdio: ["ignore", "pipe", "inherit"],
});

// The counts stand in lines of their own, before what failed is told again.
const counts = {};
createInterface({ input: child.stdout }).on("line", (line) => {
  console.log(line);
  const [, what, number] = /^ℹ (\w+) (\d+)$/.exec(line) ?? [];
  if (what !== undefined) counts[what] = Number(number);
});

child.on("close", (code) => {
  const { pass = 0, fail = 0, cancelled = 0, skipped = 0 } = counts;
  console.log(`\n${pass} passed, ${fail + cancelled} failed, ${skipped} skipped`);
  process.exitCode = code === 0 && fail + cancelled === 0 && pass > 0 ? 0 : 1;
});
