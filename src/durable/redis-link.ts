import { createClient, ErrorReply } from "@redis/client";
import { BatonError } from "../session/reasons.ts";
import type { RedisReply } from "./redis-connection.ts";
import { redisErrorCode, redisFailure } from "./redis-errors.ts";
import type { RedisAddress } from "./redis-url.ts";

/** A server that is asked to read or write little answers within milliseconds; a failover is over by then, or is noticed. */
const answerMs = 3_000;
const connectMs = 3_000;
/** How often a link is tried that nobody uses: one whose peer has vanished looks like one that is quiet. */
const pingEveryMs = 10_000;

/** One connection to a Redis, from its handshake to its end. It never comes back: another takes its place. */
export interface RedisLink {
  /** Rejects with a `BatonError`, or a `RedisNoScript`. */
  send(args: readonly string[]): Promise<RedisReply>;
  /** Resolves once what is published is heard. */
  subscribe(channel: string, heard: (text: string) => void): Promise<void>;
  unsubscribe(channel: string): Promise<void>;
  /** Resolves when the link has ended, whoever ended it. */
  readonly ended: Promise<void>;
  end(): void;
}

/** The server does not know a script by its hash (any more), and did nothing. */
export class RedisNoScript extends Error {
  override readonly name = "RedisNoScript";
}

const lost = () => new BatonError("LOG_UNAVAILABLE", "the connection to the log's Redis was lost");

/**
 * Connects, with the user and password of the address.
 *
 * What was sent and not answered when a link ends is rejected, and never sent again. So is all that would have to wait for
 * a link: the library would keep it, and send it to whatever server is there later.
 *
 * @throws BatonError `LOG_UNAVAILABLE` that names the host, and what is wrong there
 */
export async function openRedisLink({
  host,
  port,
  tls,
  username,
  password,
  database,
}: RedisAddress): Promise<RedisLink> {
  const client = createClient({
    RESP: 2,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database,
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: "disabled",
    socket: { host, port, ...(tls && { tls }), connectTimeout: connectMs, reconnectStrategy: false },
  });
  let endedNow = () => {};
  const ended = new Promise<void>((resolve) => {
    endedNow = resolve;
  });
  const end = () => {
    clearInterval(pinging);
    client.destroy();
    endedNow();
  };
  client.on("error", end);
  let pinging: ReturnType<typeof setInterval> | undefined;
  try {
    await client.connect();
  } catch (error) {
    end();
    throw connectError(error, { host, port, tls });
  }

  const send = (args: readonly string[]): Promise<RedisReply> => withinTime(client.sendCommand<RedisReply>(args), end);
  pinging = setInterval(() => void send(["PING"]).catch(() => undefined), pingEveryMs);
  return {
    send: async (args) => {
      try {
        return await send(args);
      } catch (error) {
        throw sendError(error, end);
      }
    },
    subscribe: async (channel, heard) => {
      await withinTime(client.subscribe(channel, heard), end).catch((error) => {
        throw sendError(error, end);
      });
    },
    unsubscribe: async (channel) => {
      await withinTime(client.unsubscribe(channel), end).catch((error) => {
        throw sendError(error, end);
      });
    },
    ended,
    end,
  };
}

/** Ends the link where an answer does not come: it may never, and what comes later would be of nobody. */
function withinTime<T>(answer: Promise<T>, end: () => void): Promise<T> {
  let isPending = true;
  // A process that stood still finds its timers due before the answers that have come: those are looked at first.
  const timer = setTimeout(() => setImmediate(() => isPending && end()), answerMs);
  return answer.finally(() => {
    isPending = false;
    clearTimeout(timer);
  });
}

function sendError(error: unknown, end: () => void): Error {
  if (!(error instanceof ErrorReply)) return lost();
  const code = redisErrorCode(error.message);
  if (code === "NOSCRIPT") return new RedisNoScript();
  // Its primary is another server now. To find it, the name is asked for anew.
  if (code === "READONLY") end();
  return redisFailure(error.message);
}

function connectError(error: unknown, { host, port, tls }: Pick<RedisAddress, "host" | "port" | "tls">): BatonError {
  const at = `${host}:${port}`;
  if (error instanceof ErrorReply)
    return new BatonError("LOG_UNAVAILABLE", `${redisFailure(error.message).message} (${at})`);
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? ` (${error.code})` : "";
  return new BatonError(
    "LOG_UNAVAILABLE",
    `the log's Redis at ${at} cannot be reached${tls ? " with TLS" : ""}${code}; start it, or change REDIS_URL`,
  );
}
