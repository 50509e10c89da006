// Runs on Deno, the one that npm installed, what does not belong to another runtime: as scripts/test-node.mjs does on Node,
// one file after another, since a process that ends does not take the rest along. `npm run test:deno -- test/session` runs a part.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const folders = ["test/auth", "test/client", "test/durable", "test/session", "test/wire"];

/** The client is at fault, not what it asks: it stays silent, or takes the process along (docs/decisions/0007). */
const http2Client = "its client is node:http2's, which is not sound on Deno";
const http2Server = "it is about the listener of node:http2, which Deno does not use";
/** Files of these folders that do not run, and why. */
const leftOut = {
  "test/auth/verify-keys.test.ts": "what forges its tokens, Deno's node:crypto, cannot sign with every key",
  "test/client/session-connection.test.ts": http2Client,
  "test/durable/log-upstash.test.ts": "Deno's fetch sends once more what got no answer, as docs/operate.md tells",
  "test/durable/redis-rest.test.ts": "Deno's fetch sends once more what got no answer, as docs/operate.md tells",
  "test/durable/sqlite-backup.test.ts": "a second program that it starts is not heard",
  "test/wire/connections.test.ts": http2Client,
  "test/wire/duplex.test.ts": http2Client,
  "test/wire/ends.test.ts": http2Client,
  "test/wire/grpc.test.ts": http2Client,
  "test/wire/gzip.test.ts": http2Client,
  "test/wire/official-client.test.ts": http2Client,
  "test/wire/runtimes.test.ts": "it runs the others",
  "test/wire/stall.test.ts": http2Client,
  "test/wire/stray.test.ts": http2Server,
  "test/wire/text.test.ts": http2Client,
};
const timeoutMs = 180_000;
/** By this `node:http2`'s client ends the whole process, which the few files that still use it do not deserve: they run once more. */
const clientAborted = /nghttp2_session\.c:\d+: .* Assertion/;
const attempts = 3;

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
const runFile = (file) =>
  spawnSync(deno, ["test", "--allow-all", "--no-check", file], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1" },
    timeout: timeoutMs,
    maxBuffer: 64 * 1024 * 1024,
  });
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const file of (asked.length > 0 ? asked : folders).flatMap(testsIn)) {
  // One that is asked for by its name is run.
  if (file in leftOut && !asked.includes(file)) {
    console.log(`-    ${file}: ${leftOut[file]}`);
    continue;
  }
  let run = runFile(file);
  for (let attempt = 2; attempt <= attempts && clientAborted.test(run.stderr); attempt++) {
    console.log(`-    ${file}: node:http2 as a client ended the process; once more`);
    run = runFile(file);
  }
  const { status, signal, stdout, stderr } = run;
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
