import { createHash } from "node:crypto";
import { getLogger } from "@logtape/logtape";
import { BatonError } from "../session/reasons.ts";
import { RedisChannels } from "./redis-channels.ts";
import type { RedisConnection, RedisReply, RedisScript } from "./redis-connection.ts";
import { openRedisLink, type RedisLink, RedisNoScript } from "./redis-link.ts";
import { describePersistence, findServerFault, readServerFacts } from "./redis-server.ts";
import { parseRedisUrl, type RedisAddress } from "./redis-url.ts";

const logger = getLogger(["baton", "redis"]);

const firstWaitMs = 50;
const longestWaitMs = 2_000;

export interface RedisTcpOptions {
  /** `redis://[[user]:password@]host[:port][/database]`, or `rediss:` with TLS. */
  readonly url: string;
}

/**
 * A Redis (7 or later) or Valkey over TCP: one connection for commands, one for subscriptions, each followed by another
 * when it is lost. While there is none, commands are refused at once.
 *
 * @throws BatonError `LOG_UNAVAILABLE` where the server cannot be reached or cannot keep a log; it says what to do
 */
export async function connectRedisTcp({ url }: RedisTcpOptions): Promise<RedisConnection> {
  const address = parseRedisUrl(url);
  if (address === undefined) {
    throw new BatonError("LOG_UNAVAILABLE", "the URL of the log's Redis is none: redis://user:password@host:6379/0");
  }
  const channels = new RedisChannels();
  const commands = await keepLink(createCommandLinks(address), () => {});
  let subscriptions: KeptLink;
  try {
    subscriptions = await keepLink(
      () => openRedisLink(address),
      (link) => channels.use(link),
    );
  } catch (error) {
    commands.close();
    throw error;
  }

  const send = (args: readonly string[]): Promise<RedisReply> => commands.current().send(args);
  return {
    async run(script, keys, args) {
      const rest = [String(keys.length), ...keys, ...args];
      try {
        return await send(["EVALSHA", hashOf(script), ...rest]);
      } catch (error) {
        if (!(error instanceof RedisNoScript)) throw error;
        return await send(["EVAL", script.lua, ...rest]);
      }
    },
    command: async (name, ...args) => await send([name, ...args]),
    subscribe: (channel, heard) => channels.subscribe(channel, heard),
    async close() {
      channels.use(undefined);
      commands.close();
      subscriptions.close();
    },
  };
}

const hashes = new WeakMap<RedisScript, string>();

function hashOf(script: RedisScript): string {
  const known = hashes.get(script);
  if (known !== undefined) return known;
  const hash = createHash("sha1").update(script.lua).digest("hex");
  hashes.set(script, hash);
  return hash;
}

/** To a server that can keep a log, each time anew: after a failover, or a restart with other settings, it is another. */
function createCommandLinks(address: RedisAddress): () => Promise<RedisLink> {
  let told: string | undefined;
  const at = `${address.host}:${address.port}`;
  return async () => {
    const link = await openRedisLink(address);
    try {
      const facts = await readServerFacts(link).catch((error) => {
        if (!(error instanceof BatonError)) throw error;
        // One that expects TLS closes the connection at the first byte.
        throw new BatonError(error.reason, `${error.message} (${at}, ${address.tls ? "with" : "without"} TLS)`);
      });
      const fault = findServerFault(facts);
      if (fault !== undefined) {
        throw new BatonError("LOG_UNAVAILABLE", `no log can be kept in the Redis at ${at}: ${fault}`);
      }
      const weakness = describePersistence(facts);
      if (weakness !== undefined && weakness !== told) logger.warn(weakness);
      told = weakness;
      return link;
    } catch (error) {
      link.end();
      throw error;
    }
  };
}

interface KeptLink {
  /** @throws BatonError `LOG_UNAVAILABLE` while there is none */
  current(): RedisLink;
  close(): void;
}

/** A link, and another when it ends, until closed. Rejects where the first cannot be had. */
async function keepLink(
  open: () => Promise<RedisLink>,
  changed: (link: RedisLink | undefined) => void,
): Promise<KeptLink> {
  let current: RedisLink | undefined = await open();
  let isClosed = false;
  changed(current);

  const follow = async (link: RedisLink) => {
    await link.ended;
    current = undefined;
    changed(undefined);
    if (isClosed) return;
    logger.warn("the connection to the log's Redis was lost; another is made");
    const next = await reopen();
    if (next === undefined) return;
    logger.info("the log's Redis is connected again");
    current = next;
    changed(next);
    void follow(next);
  };

  const reopen = async (): Promise<RedisLink | undefined> => {
    let told = "";
    for (let waitMs = firstWaitMs; ; waitMs = Math.min(2 * waitMs, longestWaitMs)) {
      await new Promise((resolve) => setTimeout(resolve, waitMs * (0.5 + Math.random() / 2)));
      if (isClosed) return undefined;
      try {
        const next = await open();
        if (!isClosed) return next;
        next.end();
        return undefined;
      } catch (error) {
        const says = error instanceof BatonError ? error.message : "unknown";
        if (says !== told) logger.warn("the log's Redis cannot be connected yet", { reason: says });
        told = says;
      }
    }
  };

  void follow(current);
  return {
    current() {
      if (isClosed) throw new BatonError("LOG_UNAVAILABLE", "the log is closed");
      if (current === undefined) throw new BatonError("LOG_UNAVAILABLE", "the log's Redis is not connected now");
      return current;
    },
    close() {
      isClosed = true;
      current?.end();
    },
  };
}
