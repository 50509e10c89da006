// Runs on Deno, the one that npm installed, what does not belong to another runtime: as scripts/test-node.mjs does on Node,
// one file after another, since a process that ends does not take the rest along. `npm run test:deno -- test/session` runs a part.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

/** What is left out needs the clients of `node:http2`, which are not to be relied on there, or pins what others do. */
const folders = [
  ...["carriage-choice", "carriage-socket", "log-follower"].map((name) => `test/client/${name}.test.ts`),
  "test/durable/log-sqlite.test.ts",
  "test/session",
  ...[
    ...["bodies", "deno-sockets", "early-answer", "envelope", "grpc", "gzip", "listen", "official-client", "outlet"],
    ...["socket", "socket-ends", "socket-queue", "tls", "vanish"],
  ].map((name) => `test/wire/${name}.test.ts`),
];
const timeoutMs = 180_000;

function testsIn(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts") && !name.endsWith(".bun.test.ts"))
    .map((name) => join(path, name))
    .sort();
}

const asked = process.argv.slice(2);
const deno = createRequire(createRequire(import.meta.url).resolve("deno/package.json"))(
  "./install_api.cjs",
).runInstall();
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const file of (asked.length > 0 ? asked : folders).flatMap(testsIn)) {
  const { status, signal, stdout, stderr } = spawnSync(deno, ["test", "--allow-all", "--no-check", file], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
  });
  const count = (pattern) => stdout.match(pattern)?.length ?? 0;
  const passed = count(/ \.\.\. ok \(|^ok \(/gm);
  const failed = status === 0 ? 0 : Math.max(1, count(/ \.\.\. FAILED/g));
  counts.passed += passed;
  counts.failed += failed;
  counts.skipped += count(/ \.\.\. ignored/g);
  console.log(
    `${failed === 0 ? "ok  " : "FAIL"} ${file}: ${passed} passed${signal === null ? "" : `, ended by ${signal}`}`,
  );
  if (failed > 0) console.log(`${stdout}${stderr}`);
}
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;
