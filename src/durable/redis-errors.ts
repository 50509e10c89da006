import { BatonError } from "../session/reasons.ts";

/**
 * The word by which an error of Redis begins: OOM, READONLY, NOSCRIPT, ERR. The rest of its text may repeat what was
 * sent, so nobody is shown it.
 */
export const redisErrorCode = (text: string): string => /^[A-Z][A-Z0-9]*/.exec(text)?.[0] ?? "ERR";

/**
 * An error that a Redis answered with, as the port's users see it. Every one says that nothing was written. Its cause is
 * the error's first word.
 */
export function redisFailure(text: string): BatonError {
  const { reason, message } = judge(text);
  return new BatonError(reason, message, { cause: redisErrorCode(text) });
}

function judge(text: string): BatonError {
  const code = redisErrorCode(text);
  switch (code) {
    case "OOM":
      return new BatonError("LOG_FULL", "the log's Redis has no memory left (maxmemory); reading goes on");
    case "MISCONF":
      if (/no space left/i.test(text)) return new BatonError("LOG_FULL", "the disk of the log's Redis is full");
      return unavailable("the log's Redis cannot save what it is given, and takes no more until it can");
    case "NOREPLICAS":
      return unavailable("the log's Redis has fewer replicas than it is to write to (min-replicas-to-write)");
    case "READONLY":
      return unavailable("the log's Redis is a replica now; its primary is looked for");
    case "LOADING":
      return unavailable("the log's Redis reads its data from disk; try again");
    case "NOAUTH":
    case "WRONGPASS":
      return unavailable("the log's Redis does not know this user and password");
    case "NOPERM":
      return unavailable("the log's Redis does not let this user do what the log needs");
    case "MOVED":
    case "CLUSTERDOWN":
    case "CROSSSLOT":
      return unavailable("the log's Redis is part of a cluster, which the log does not know how to use");
    default:
      if (/^ERR DB index/.test(text)) return unavailable("the log's Redis has no database of the number in REDIS_URL");
      return unavailable(`the log's Redis answered ${code}`);
  }
}

const unavailable = (says: string) => new BatonError("LOG_UNAVAILABLE", says);
