// The relay on whichever runtime this runs on, its rates off, and its log kept whole: `<runtime> bench/slow/server.ts <folder>`.
import { createServer } from "node:http";
import process from "node:process";
import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet } from "../../src/auth/keys.ts";
import { startRelay } from "../../src/runtime/start-relay.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { secret } from "./calls.ts";
import type { Ready, Usage } from "./relay-process.ts";

const unlimited = 1e9;

const [dataDir] = process.argv.slice(2);
if (dataDir === undefined) throw new Error("a folder for the log is missing");
const imported = await importSecret(secret);
if (imported.kind === "refused") throw new Error(imported.message);
const relay = await startRelay({
  host: "127.0.0.1",
  port: 0,
  grpcPort: 0,
  dataDir,
  log: "sqlite",
  keys: createKeySet(imported.keys),
  limits: {
    ...defaultLimits,
    messagesPerSecond: unlimited,
    messagesBurst: unlimited,
    unackedBytes: unlimited,
    userStreams: unlimited,
    // A slow reader is owed all of it, and no longer has it once it is trimmed.
    logRecords: unlimited,
    logBytes: 1e12,
  },
});

/** Twice: what waits for an event that a collection brings about, goes with the second. */
async function collect(): Promise<void> {
  for (let times = 0; times < 2; times++) {
    if ("Bun" in globalThis) Bun.gc(true);
    else globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Tells what the process uses, where that is asked for after a full collection, on a port of its own. */
const side = createServer(async ({ url }, response) => {
  if (url === "/collect") await collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const usage: Usage = { rssBytes: rss, heapBytes: heapUsed + external, cpuUs: user + system };
  response.end(JSON.stringify(usage));
});
side.listen(0, "127.0.0.1", () => {
  const address = side.address();
  if (address === null || typeof address === "string") throw new Error("the side channel has no port");
  const portOf = (url: string) => Number(new URL(url).port);
  const ready: Ready = {
    port: portOf(relay.url),
    grpcPort: portOf(relay.grpcUrl ?? relay.url),
    sidePort: address.port,
  };
  console.log(JSON.stringify(ready));
});
process.once("SIGTERM", () => process.exit());
