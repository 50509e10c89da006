import { BatonError } from "../session/reasons.ts";

/** What an error of Upstash's REST protocol, or of the way there, means for those who asked. */
export type RestFailure =
  /** The script is not in the server's cache; nothing was done. */
  | { readonly kind: "script unknown" }
  /** Refused for its size, or for want of room; nothing was done. */
  | { readonly kind: "full" }
  /** Nothing is known of what became of it. `why` is for operators; it quotes nothing of what was asked or answered. */
  | { readonly kind: "unavailable"; readonly why: string; readonly retryAfterMs: number };

/** How long a plan whose commands are used up, or a server that is asked too often, is left alone. */
const tooOftenMs = 1_000;

const unavailable = (why: string, retryAfterMs = 0): RestFailure => ({ kind: "unavailable", why, retryAfterMs });

/**
 * By the text that the server gave, which is all that the library keeps of an answer: no status, no header. What it adds
 * to the text is the whole command; so nothing of an error is passed on but words that stand here.
 */
export function readRestFailure(error: unknown): RestFailure {
  if (!(error instanceof Error)) return unavailable("failed without an error");
  switch (error.name) {
    case "UpstashError":
      return ofReply(error.message);
    case "UpstashJSONParseError":
      return unavailable("answered with something that is not Redis over REST");
    case "TimeoutError":
    case "AbortError":
      return unavailable("did not answer in time");
    default:
      return unavailable("cannot be reached");
  }
}

function ofReply(text: string): RestFailure {
  if (/^NOSCRIPT\b/.test(text)) return { kind: "script unknown" };
  if (/^(OOM\b|ERR max [\w ]*size exceeded)/i.test(text)) return { kind: "full" };
  if (/^(WRONGPASS|NOAUTH)\b|^(ERR )?unauthorized/i.test(text)) {
    return unavailable("refuses the token; it was rotated or is of another database");
  }
  if (/^NOPERM\b/.test(text)) return unavailable("does not let this token write; it is the read-only one");
  if (/^(ERR )?(max [\w ]*(requests?|commands|bandwidth|connections)\b|too many requests)/i.test(text)) {
    return unavailable("is asked more often than its plan allows", tooOftenMs);
  }
  return unavailable(`refused a command (${/^[A-Z]{2,20}\b/.exec(text)?.[0] ?? "?"})`);
}

/** As the port's users see it. */
export function restError(failure: RestFailure): BatonError {
  switch (failure.kind) {
    case "full":
      return new BatonError("LOG_FULL");
    case "script unknown":
      return new BatonError("LOG_UNAVAILABLE", "the log's store does not keep the relay's scripts");
    case "unavailable":
      return new BatonError("LOG_UNAVAILABLE", `the log's store ${failure.why}`, {
        retryAfterMs: failure.retryAfterMs,
      });
  }
}
