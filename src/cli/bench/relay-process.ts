// The relay, whole, with its rates off, as a process to be measured. Its arguments: "memory", the URL of a Redis, or a
// folder for SQLite; and limits that differ from those below, as JSON.
import process from "node:process";
import { z } from "zod";
import { importSecret } from "../../auth/key-import.ts";
import { createKeySet } from "../../auth/keys.ts";
import type { LogChoice } from "../../runtime/open-log.ts";
import { startRelay } from "../../runtime/start-relay.ts";
import { defaultLimits } from "../../session/limits.ts";
import { secret } from "./calls.ts";
import { announce } from "./side-channel.ts";

const unlimited = 1e9;

const [place = "memory", changed = "{}"] = process.argv.slice(2);
const imported = await importSecret(secret);
if (imported.kind === "refused") throw new Error(imported.message);

function logOf(): LogChoice {
  if (place === "memory") return place;
  return place.startsWith("redis:") ? { kind: "redis", url: place, prefix: "bench:" } : "sqlite";
}

const relay = await startRelay({
  host: "127.0.0.1",
  port: 0,
  grpcPort: 0,
  log: logOf(),
  dataDir: place,
  keys: createKeySet(imported.keys),
  limits: {
    ...defaultLimits,
    messagesPerSecond: unlimited,
    messagesBurst: unlimited,
    unackedBytes: unlimited,
    userStreams: unlimited,
    streamsPerConnection: 1_000,
    // Kept whole, so that a resume can go over all of it.
    logRecords: unlimited,
    logBytes: 1e12,
    ...z.record(z.string(), z.number()).parse(JSON.parse(changed)),
  },
});
const portOf = (url: string) => Number(new URL(url).port);
announce({ port: portOf(relay.url), grpcPort: portOf(relay.grpcUrl ?? relay.url) });
