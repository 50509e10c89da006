import { getLogger } from "@logtape/logtape";
import { Redis } from "@upstash/redis";
import { BatonError } from "../session/reasons.ts";
import type { RedisConnection, RedisReply, RedisScript } from "./redis-connection.ts";
import { createPatternListeners } from "./redis-pattern.ts";
import { readRestFailure, restError } from "./redis-rest-errors.ts";
import type { SubscriptionTiming } from "./redis-sse.ts";

const logger = getLogger(["baton", "log"]);

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
 * A Redis over Upstash's REST protocol. What the library does by itself is turned off, since all of it would be wrong
 * here: it would send what failed again, and so append twice; make an answer of an abort; make numbers of texts that look
 * like some; and gather commands into one request, whose loss is then the loss of all. It has no way to subscribe that
 * would be noticed to have ended: that is done by `subscribeToPattern`.
 */
export function connectUpstash(options: UpstashOptions): RedisConnection {
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
    if (why === "") logger.info("Redis answers again");
    else logger.error("Redis {why}", { why });
  };

  const execute = async (command: [string, ...string[]]): Promise<RedisReply> => {
    if (closing.signal.aborted) throw closed();
    let reply: unknown;
    try {
      reply = await redis.exec<unknown>(command);
    } catch (error) {
      if (closing.signal.aborted) throw closed();
      const failure = readRestFailure(error);
      if (failure.kind === "unavailable") tell(failure.why);
      throw failure.kind === "script unknown" ? new ScriptUnknown() : restError(failure);
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
        if (!(error instanceof ScriptUnknown)) throw error;
      }
      try {
        return await execute(["EVAL", text, ...operands]);
      } catch (error) {
        throw error instanceof ScriptUnknown ? restError({ kind: "script unknown" }) : error;
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

class ScriptUnknown extends Error {}

const closed = () => new BatonError("LOG_UNAVAILABLE", "the log is closed");

/** An integer that a double cannot hold came as another one. */
function parseReply(reply: unknown): RedisReply {
  if (reply === null || typeof reply === "string") return reply;
  if (typeof reply === "number" && Number.isSafeInteger(reply)) return reply;
  if (Array.isArray(reply)) return reply.map(parseReply);
  throw new BatonError("LOG_UNAVAILABLE", "the log's store answered with something that is not Redis over REST");
}

async function sha1(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
