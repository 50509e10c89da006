// The relay, whole, with its limits off: `bun bench/servers/relay.ts <memory | path of a SQLite file>`.
import process from "node:process";
import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet } from "../../src/auth/keys.ts";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import { openSqliteLog } from "../../src/durable/log-sqlite.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import { createRelay } from "../../src/relay/create-relay.ts";
import { serveBun } from "../../src/runtime/bun.ts";
import { defaultLimits } from "../../src/session/limits.ts";
import { secret } from "../calls.ts";
import { announce } from "./side-channel.ts";

const unlimited = 1e9;

async function openLog(path: string): Promise<SessionLog> {
  if (path === "memory") return createMemoryLog(Date.now);
  return await openSqliteLog({ path, now: Date.now });
}

const imported = await importSecret(secret);
if (imported.kind === "refused") throw new Error(imported.message);
const { routes } = await createRelay({
  log: await openLog(process.argv[2] ?? "memory"),
  bus: createLocalBus().member(),
  limits: {
    ...defaultLimits,
    messagesPerSecond: unlimited,
    messagesBurst: unlimited,
    unackedBytes: unlimited,
    userStreams: unlimited,
    // Kept whole, so that a resume can go over 100,000 records.
    logRecords: 1_000_000,
  },
  now: Date.now,
  newId: () => crypto.randomUUID(),
  defer: (run) => void setImmediate(run),
  keys: createKeySet(imported.keys),
});
const server = serveBun({
  host: "127.0.0.1",
  port: 0,
  limits: defaultLimits,
  fetch: (request, bindings) => routes.fetch(request, bindings),
});
announce(Number(new URL(server.url).port));
