import { BatonError } from "../session/reasons.ts";
import type { RedisLink } from "./redis-link.ts";

/** What a server says of itself that the log depends on. */
export interface RedisServerFacts {
  /** What `INFO` answers, by name; undefined: this user may not ask. */
  readonly info: ReadonlyMap<string, string> | undefined;
  /** When the append-only file is synced; undefined: there is none, or this user may not ask. */
  readonly appendFsync: string | undefined;
}

const leastMajor = 7;

export async function readServerFacts(link: RedisLink): Promise<RedisServerFacts> {
  // A server that cannot be asked now (it is loading, the link broke) is another matter than a user who may not ask.
  const info = await link.send(["INFO"]).catch(refusedOnly);
  const config = await link.send(["CONFIG", "GET", "appendfsync"]).catch(refusedOnly);
  const isAppending = typeof info === "string" && parseInfo(info).get("aof_enabled") === "1";
  const appendFsync = Array.isArray(config) && typeof config[1] === "string" ? config[1] : undefined;
  return {
    info: typeof info === "string" ? parseInfo(info) : undefined,
    appendFsync: isAppending ? appendFsync : undefined,
  };
}

/** Hosted servers leave commands out (ERR), or do not let this user ask (NOPERM). */
function refusedOnly(error: unknown): undefined {
  if (error instanceof BatonError && (error.cause === "NOPERM" || error.cause === "ERR")) return undefined;
  throw error;
}

export function parseInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split(/\r?\n/).filter((line) => line.includes(":"));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}

/** Why a log cannot be kept there, and what to do about it; undefined: it can. */
export function findServerFault({ info }: RedisServerFacts): string | undefined {
  if (info === undefined) {
    return "it does not say whether it throws data out when memory is full; let this user run INFO (ACL: +info)";
  }
  const version = info.get("redis_version") ?? "unknown";
  if (!(Number.parseInt(version, 10) >= leastMajor)) {
    return `it is version ${version}; the log needs Redis ${leastMajor} or later, or Valkey`;
  }
  if (info.get("cluster_enabled") === "1") {
    return "it is part of a cluster, whose redirections the log does not follow; use one that is not, with replicas";
  }
  if (info.get("role") === "slave") return "it is a replica, which takes no writes; give the address of its primary";
  const policy = info.get("maxmemory_policy") ?? "unknown";
  if (info.get("maxmemory") !== "0" && !keepsAll(policy)) {
    return `it throws data out when memory is full (maxmemory-policy ${policy}); set maxmemory-policy noeviction`;
  }
  return undefined;
}

/** `volatile-...` throws out only what has a time to live, and nothing of the log has one. */
const keepsAll = (policy: string) => policy === "noeviction" || policy.startsWith("volatile-");

/** What an Ack means there, where that is less than on a disk that was synced; undefined: as much. */
export function describePersistence({ info, appendFsync }: RedisServerFacts): string | undefined {
  if (info?.get("aof_enabled") !== "1") {
    return "the log's Redis has no append-only file: what was acked lives in its memory alone, or as old as its last dump; set appendonly yes";
  }
  switch (appendFsync) {
    case "always":
      return undefined;
    case undefined:
      return "the log's Redis does not say how often it syncs its append-only file (ACL: +config|get); unless it is set to appendfsync always, a crash of its machine may take what was acked last";
    default:
      return `the log's Redis syncs its append-only file with appendfsync ${appendFsync}: a crash of its machine may take ${
        appendFsync === "everysec" ? "the last second" : "what was acked last"
      }; set appendfsync always where an Ack has to mean more`;
  }
}
