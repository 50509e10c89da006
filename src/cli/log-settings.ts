import { z } from "zod";
import { parseRedisUrl } from "../durable/redis-url.ts";
import { engineOf, type LogChoice, type LogEngine } from "../runtime/open-log.ts";

/**
 * Variables whose names other programs know too: one that is set says something to the relay only where its log is the one
 * that needs it.
 */
export const storeVariables = {
  sqlite: [],
  memory: [],
  redis: ["REDIS_URL"],
  upstash: ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"],
} as const satisfies Readonly<Record<LogEngine, readonly string[]>>;

/** No message repeats the value: a password may be in it. */
export const storeSchema = {
  REDIS_URL: z
    .string()
    .refine((url) => parseRedisUrl(url) !== undefined, {
      error:
        "must be redis://user:password@host:6379/0, or rediss: with TLS; write what a URL cannot have in a password as %XX",
    })
    .optional(),
  UPSTASH_REDIS_REST_URL: z
    .string()
    .refine((url) => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) && new URL(url).password === "", {
      error: "must be the https URL of the database's REST API, as Upstash shows it",
    })
    .optional(),
  UPSTASH_REDIS_REST_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{8,1024}$/, {
      error: "must be the token that Upstash shows beside the URL; not the read-only one",
    })
    .optional(),
};

export const defaultRedisPrefix = "baton:";

export const redisPrefixSchema = z
  .string()
  .regex(/^[A-Za-z0-9_:-]{1,64}$/, {
    error: `must have 1 to 64 letters, digits, _, : or -; leave it out for ${defaultRedisPrefix}`,
  })
  .default(defaultRedisPrefix);

interface StoreSettings {
  readonly BATON_LOG: LogEngine;
  readonly BATON_REDIS_PREFIX: string;
  readonly REDIS_URL?: string | undefined;
  readonly UPSTASH_REDIS_REST_URL?: string | undefined;
  readonly UPSTASH_REDIS_REST_TOKEN?: string | undefined;
}

/** Of settings without faults. */
export function toLogChoice(settings: StoreSettings): LogChoice {
  const { BATON_LOG: engine, BATON_REDIS_PREFIX: prefix } = settings;
  switch (engine) {
    case "sqlite":
    case "memory":
      return engine;
    case "redis":
      return { kind: engine, url: settings.REDIS_URL ?? "", prefix };
    case "upstash": {
      const { UPSTASH_REDIS_REST_URL: url = "", UPSTASH_REDIS_REST_TOKEN: token = "" } = settings;
      return { kind: engine, url, token, prefix };
    }
  }
}

/** The host and the port of the Redis that the log is in, without what opens it; undefined: it is in none. */
export function redisHost(log: LogChoice): string | undefined {
  if (typeof log === "string") return undefined;
  if (log.kind === "upstash") return new URL(log.url).host;
  const { host, port } = parseRedisUrl(log.url) ?? {};
  return `${host}:${port}`;
}

/** For people. */
export function describeLog(log: LogChoice): string {
  const host = redisHost(log);
  return host === undefined ? engineOf(log) : `${engineOf(log)}, at ${host}`;
}
