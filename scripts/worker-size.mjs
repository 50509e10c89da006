// What a deploy of the worker would send, and how large it is. Fails above the size from which a cold start is felt.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { gzipSync } from "node:zlib";

const mostKib = 500;

const out = mkdtempSync(join(tmpdir(), "baton-worker-"));
try {
  // In an npm script `node` is the one that npm installed: wrangler needs Node 22.
  execFileSync("wrangler", ["deploy", "--dry-run", "--outdir", out], {
    stdio: "inherit",
    shell: process.platform === "win32",
    env: { ...process.env, WRANGLER_SEND_METRICS: "false" },
  });
  const files = readdirSync(out).filter((name) => name.endsWith(".js"));
  const kib = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(out, name))).length, 0) / 1024;
  console.log(`\nThe worker has ${kib.toFixed(1)} KiB, gzipped; at most ${mostKib} are allowed.`);
  process.exitCode = files.length > 0 && kib <= mostKib ? 0 : 1;
} finally {
  rmSync(out, { recursive: true, force: true });
}
