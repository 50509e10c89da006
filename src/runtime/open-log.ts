import { join } from "node:path";
import { createLocalBus } from "../durable/bus-local.ts";
import { createRedisBus } from "../durable/bus-redis.ts";
import { createMemoryLog } from "../durable/log-memory.ts";
import { createRedisLog } from "../durable/log-redis.ts";
import { openSqliteLog } from "../durable/log-sqlite.ts";
import type { RedisConnection } from "../durable/redis-connection.ts";
import { connectUpstash } from "../durable/redis-rest.ts";
import { connectRedisTcp } from "../durable/redis-tcp.ts";
import type { SessionBus } from "../durable/session-bus.ts";
import type { SessionLog } from "../durable/session-log.ts";
import type { OpenBackup } from "../durable/store-backup.ts";
import { assertNever } from "../session/reasons.ts";

/** Where the log is kept: on this machine by one relay, or in a Redis by as many as share it. */
export type LogChoice =
  | "sqlite"
  | "memory"
  | {
      readonly kind: "redis";
      /** `redis://user:password@host:6379/0`; with TLS `rediss:`. */
      readonly url: string;
      readonly prefix: string;
    }
  | {
      readonly kind: "upstash";
      /** `https://...`, of the REST protocol. */
      readonly url: string;
      readonly token: string;
      readonly prefix: string;
    };

export type LogEngine = "sqlite" | "memory" | "redis" | "upstash";

export const engineOf = (choice: LogChoice): LogEngine => (typeof choice === "object" ? choice.kind : choice);

/** What a relay keeps and shares with others. */
export interface OpenedLog {
  readonly log: SessionLog;
  /** To the instances that share the log. */
  readonly bus: SessionBus;
  readonly openBackup?: OpenBackup;
  /** How many epochs the log itself began, because its store had lost records. */
  readonly epochsBegun?: () => number;
}

/** Of the log, in the data folder. */
export const databaseName = "baton.sqlite";

export const databasePath = (dataDir: string): string => join(dataDir, databaseName);

export interface LogPlace {
  /** Of SQLite. */
  readonly dataDir: string;
  /** How long a client's last number is kept after its last claim or append. */
  readonly clientTtlMs: number;
}

/** @throws BatonError that says what to do where its operator can help */
export async function openLog(choice: LogChoice, { dataDir, clientTtlMs }: LogPlace): Promise<OpenedLog> {
  switch (choice) {
    case "memory":
      return { log: createMemoryLog(Date.now), bus: createLocalBus().member() };
    case "sqlite": {
      const log = await openSqliteLog({ path: databasePath(dataDir), now: Date.now, clientTtlMs });
      return { log, bus: createLocalBus().member(), openBackup: log.openBackup };
    }
    default:
      return openShared(choice, clientTtlMs);
  }
}

async function openShared(choice: Extract<LogChoice, object>, clientTtlMs: number): Promise<OpenedLog> {
  const { prefix } = choice;
  const connection = await connect(choice);
  const bus = createRedisBus(connection, { prefix, instanceId: crypto.randomUUID() });
  const log = createRedisLog({ connection, prefix, now: Date.now, clientTtlMs });
  const close = async () => {
    bus.close();
    await log.close();
  };
  return { log: { ...log, close }, bus, epochsBegun: log.epochsBegun };
}

async function connect(choice: Extract<LogChoice, object>): Promise<RedisConnection> {
  switch (choice.kind) {
    case "redis":
      return await connectRedisTcp({ url: choice.url });
    case "upstash":
      return connectUpstash({ url: choice.url, token: choice.token, prefix: choice.prefix });
    default:
      return assertNever(choice);
  }
}
