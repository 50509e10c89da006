import { getLogger } from "@logtape/logtape";
import { Redis } from "@upstash/redis";
import { BatonError } from "../session/reasons.ts";
import type { RedisConnection, RedisReply, RedisScript } from "./redis-connection.ts";
import { createPatternListeners } from "./redis-pattern.ts";
import { notRedis, RestNoScript, restFailure } from "./redis-rest-errors.ts";
import type { SubscriptionTiming } from "./redis-sse.ts";

const logger = getLogger(["baton", "redis"]);

export interface UpstashOptions {
  /** `UPSTASH_REDIS_REST_URL` */
  readonly url: string;
  /** `UPSTASH_REDIS_REST_TOKEN`: the one that may write. */
  readonly token: string;
  /** Of letters, digits, `_`, `:` and `-`. It is part of the name of every channel that is subscribed to. */
  readonly prefix: string;
  /** How long a command may take, its way there and back included. */
  readonly commandTimeoutMs?: number;
  readonly subscriptionTiming?: SubscriptionTiming;
}

/** Below the time for which a batch is tried again, so that one lost answer does not use it up. */
const defaultCommandTimeoutMs = 2_500;

/** Without it Upstash locks the whole database for a script; with it, its keys alone. */
const firstLine = "#!lua flags=allow-key-locking\n";

/**
 * Connects, once the database is seen to be one that can keep a log.
 *
 * @throws BatonError `LOG_UNAVAILABLE` where it cannot be reached or cannot keep one; it says what to do
 */
export async function connectUpstash(options: UpstashOptions): Promise<RedisConnection> {
  const connection = createRestConnection(options);
  try {
    await assertKeepsLogs(connection, options.prefix);
  } catch (error) {
    await connection.close();
    if (!(error instanceof BatonError)) throw error;
    const { host } = new URL(options.url);
    throw new BatonError(error.reason, `${error.message} (${host}, the host of UPSTASH_REDIS_REST_URL)`);
  }
  return connection;
}

/**
 * A Redis over Upstash's REST protocol. What the library does by itself is turned off, since all of it would be wrong
 * here: it would send what failed again, and so append twice; make an answer of an abort; make numbers of texts that look
 * like some; and gather commands into one request, whose loss is then the loss of all. It has no way to subscribe that
 * would be noticed to have ended: that is done by `subscribeToPattern`.
 */
export function createRestConnection(options: UpstashOptions): RedisConnection {
  const { url, token, prefix, commandTimeoutMs = defaultCommandTimeoutMs } = options;
  const closing = new AbortController();
  const redis = new Redis({
    url,
    token,
    retry: { retries: 0 },
    automaticDeserialization: false,
    enableAutoPipelining: false,
    enableTelemetry: false,
    // All that is stored is text, and frames are in base64 as it is.
    responseEncoding: false,
    // A signal that is not behind a function is answered with `{"result": "Aborted"}`.
    signal: () => AbortSignal.any([AbortSignal.timeout(commandTimeoutMs), closing.signal]),
  });

  let told = "";
  /** Operators are told once of each kind of trouble; those who asked, of their own call. */
  const tell = (why: string) => {
    if (why === told) return;
    told = why;
    if (why === "") logger.info("the log's Redis answers again");
    else logger.error(why);
  };

  const execute = async (command: [string, ...string[]]): Promise<RedisReply> => {
    if (closing.signal.aborted) throw closed();
    let reply: unknown;
    try {
      reply = await redis.exec<unknown>(command);
    } catch (error) {
      if (closing.signal.aborted) throw closed();
      const failure = restFailure(error);
      if (failure instanceof BatonError) tell(failure.message);
      throw failure;
    }
    tell("");
    return parseReply(reply);
  };

  const listeners = createPatternListeners({
    url,
    token,
    // Other deployments' may come along where their prefix ends in this one; nobody here listens to them.
    pattern: `*${prefix}*`,
    timing: options.subscriptionTiming,
    ping: () => execute(["PUBLISH", `${prefix}ping`, ""]),
    tell,
  });

  const hashes = new Map<string, Promise<string>>();
  const hashOf = (text: string) => {
    const hash = hashes.get(text) ?? sha1(text);
    hashes.set(text, hash);
    return hash;
  };

  return {
    async run({ lua }: RedisScript, keys, args) {
      const text = firstLine + lua;
      const operands = [String(keys.length), ...keys, ...args];
      try {
        return await execute(["EVALSHA", await hashOf(text), ...operands]);
      } catch (error) {
        if (!(error instanceof RestNoScript)) throw error;
      }
      try {
        return await execute(["EVAL", text, ...operands]);
      } catch (error) {
        throw error instanceof RestNoScript ? notRedis() : error;
      }
    },
    command: (name, ...args) => execute([name, ...args]),
    subscribe: listeners.subscribe,
    async close() {
      closing.abort();
      listeners.close();
    },
  };
}

const closed = () => new BatonError("LOG_UNAVAILABLE", "the log is closed");

/** An integer that a double cannot hold came as another one. */
function parseReply(reply: unknown): RedisReply {
  if (reply === null || typeof reply === "string") return reply;
  if (typeof reply === "number" && Number.isSafeInteger(reply)) return reply;
  if (Array.isArray(reply)) return reply.map(parseReply);
  throw notRedis();
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Of its own accord Upstash says little of a database: what it does is tried, and the rest is its operator's to see to. */
const probe: RedisScript = { name: "probe", lua: "return redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)" };

async function assertKeepsLogs(connection: RedisConnection, prefix: string): Promise<void> {
  await connection.run(probe, [`${prefix}probe`], ["written to see whether it can be"]);
  const info = await connection.command("INFO", "memory");
  const policy = /^maxmemory_policy:(\S+)/m.exec(typeof info === "string" ? info : "")?.[1];
  if (policy !== undefined && policy !== "noeviction") {
    const says = `no log can be kept in this Redis: it throws data out when it is full (${policy}); turn eviction off`;
    throw new BatonError("LOG_UNAVAILABLE", says);
  }
  if (policy === undefined) logger.warn("the log's Redis does not say whether it evicts; eviction has to be off");
}
