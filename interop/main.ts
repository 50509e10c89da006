/** Every kind of client in one session of one relay. `npm run interop -- --help` says how. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Runtime, startRelay } from "./relay.ts";
import type { Row } from "./row.ts";
import { holdSession } from "./session.ts";

const runtimes: readonly Runtime[] = ["bun", "node", "deno"];

const usage = `npm run interop -- [options]

Starts the relay as an operator does, on Bun and then on Node, and has every kind of client hold one session at once: they
edit one file and comment, each is cut off and resumed, one joins late. Each has to end with the text that the log makes,
and has to have seen the records of the log, in their order, none missing and none twice. A row for each client and
runtime; the last line is "N passed, N failed", and the exit code 1 unless none failed. A client whose program is not on
this machine is skipped, by name.

  --runtime NAME  bun, node or deno; bun and node without it: on Deno native gRPC is not served, and its rows fail
  --seed N        of what they do (1)
  --help          this text`;

const exitUsage = 64;

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        runtime: { type: "string" },
        seed: { type: "string", default: "1" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    const asked = runtimes.filter((name) => (values.runtime === undefined ? name !== "deno" : values.runtime === name));
    if (asked.length === 0) throw new Error("--runtime is bun, node or deno");
    return { ...values, asked };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(exitUsage);
  }
}

const { asked, seed, help } = readArguments();
if (help) {
  console.log(usage);
  process.exit(0);
}

async function holdOn(runtime: Runtime): Promise<Row[]> {
  const secret = crypto.randomUUID() + crypto.randomUUID();
  const dataDir = mkdtempSync(join(tmpdir(), "baton-interop-"));
  try {
    const relay = await startRelay(runtime, dataDir, secret);
    try {
      return await holdSession(relay, new TextEncoder().encode(secret), Number(seed));
    } finally {
      await relay.stop();
    }
  } catch (error) {
    return [{ client: "the relay", outcome: "failed", says: error instanceof Error ? error.message : String(error) }];
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
}

const counts = { passed: 0, failed: 0, skipped: 0 };
for (const runtime of asked) {
  for (const { client, outcome, says } of await holdOn(runtime)) {
    counts[outcome] += 1;
    console.log(`${outcome.padEnd(7)}  ${runtime.padEnd(4)}  ${client.padEnd(42)} ${says}`);
  }
}
if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);
