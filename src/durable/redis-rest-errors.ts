import { BatonError } from "../session/reasons.ts";
import { redisFailure } from "./redis-errors.ts";

/** The script is not in the server's cache; nothing was done. */
export class RestNoScript extends Error {
  override readonly name = "RestNoScript";
}

/** How long a plan whose commands are used up, or a server that is asked too often, is left alone. */
const tooOftenMs = 1_000;

/**
 * An error of the library as the port's users see it. What it is is told by the text that the server gave, which is all
 * that the library keeps of an answer: no status, no header. To that text it adds the whole command; so nothing of it is
 * passed on but words that stand here, and the error itself is not kept as a cause.
 */
export function restFailure(error: unknown): BatonError | RestNoScript {
  switch (error instanceof Error ? error.name : "") {
    case "UpstashError":
      return ofReply(error instanceof Error ? error.message : "");
    case "UpstashJSONParseError":
      return notRedis();
    case "TimeoutError":
    case "AbortError":
      return unavailable("the log's Redis did not answer in time");
    default:
      return unavailable("the log's Redis cannot be reached");
  }
}

export const notRedis = () => unavailable("the log's Redis answered with something that is not Redis over REST");

/** What Upstash says beside what every Redis does; its troubleshooting pages have the texts. */
function ofReply(text: string): BatonError | RestNoScript {
  if (/^NOSCRIPT\b/.test(text)) return new RestNoScript();
  if (/^ERR (max [\w ]*size|DB capacity quota) exceeded/i.test(text)) {
    return new BatonError("LOG_FULL", "the log's Redis takes no more, or nothing as large as this");
  }
  if (/^(WRONGPASS|NOAUTH)\b|^(ERR )?unauthorized/i.test(text)) {
    return unavailable("the log's Redis refuses the token: it was rotated, or is another database's");
  }
  if (/^NOPERM\b/.test(text)) {
    return unavailable("the log's Redis does not let this token write: it is the read-only one");
  }
  if (/^(ERR )?(max [\w ]*(requests?|commands|bandwidth|connections)\b|too many requests)/i.test(text)) {
    return new BatonError("LOG_UNAVAILABLE", "the log's Redis is asked more often than its plan allows", {
      retryAfterMs: tooOftenMs,
    });
  }
  return redisFailure(text);
}

const unavailable = (says: string) => new BatonError("LOG_UNAVAILABLE", says);
