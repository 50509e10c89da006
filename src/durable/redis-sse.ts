import { createSseLines } from "./sse-lines.ts";

export interface SubscriptionTiming {
  /** After so long without a byte something is published, so that there is something to hear. */
  readonly quietMs: number;
  /** What neither begins nor says anything for so long is given up. */
  readonly answerMs: number;
  /** The first wait before the next attempt, at most; then twice as long each time. */
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
}

export interface PatternSubscription {
  readonly url: string;
  readonly token: string;
  /** A glob of Redis, of characters that need no escape in a path: what a server makes of one is not documented. */
  readonly pattern: string;
  readonly timing: SubscriptionTiming;
  /** Publishes something that the pattern hears. */
  ping(): Promise<unknown>;
  /** The subscription has begun, or begun again; what was published before is lost. */
  open(): void;
  message(channel: string, text: string): void;
  /** The subscription has ended and is tried again; told in words for operators. */
  broken(why: string): void;
}

/** Base64 of the largest message that is allowed by default takes a third of it; the library's own reader stops there too. */
const maxLineLength = 1_048_576;

/**
 * Hears all channels of a pattern over one stream of events, for as long as the signal lets it. The protocol tells
 * neither the end of a subscription nor that it lives: so whatever comes counts as a sign of life, and where nothing
 * comes, it publishes something itself and gives the stream up when not even that is heard.
 */
export async function subscribeToPattern(subscription: PatternSubscription, signal: AbortSignal): Promise<void> {
  const { firstWaitMs, longestWaitMs } = subscription.timing;
  let backoffMs = firstWaitMs;
  while (!signal.aborted) {
    const startedMs = performance.now();
    const why = await followOnce(subscription, signal);
    if (signal.aborted) return;
    subscription.broken(why);
    // A stream that lived was well; one that opens and ends at once is none to be opened as fast as it goes.
    if (performance.now() - startedMs > longestWaitMs) backoffMs = firstWaitMs;
    await pause(Math.random() * backoffMs, signal);
    backoffMs = Math.min(2 * backoffMs, longestWaitMs);
  }
}

/** Resolves with why it ended. */
async function followOnce(subscription: PatternSubscription, signal: AbortSignal): Promise<string> {
  const { url, token, pattern, timing, ping, open, message } = subscription;
  const giveUp = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const giveUpAfter = (waitMs: number) => {
    clearTimeout(timer);
    timer = setTimeout(() => giveUp.abort(), waitMs);
  };
  const hearSomethingSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      giveUpAfter(timing.answerMs);
      // If it fails, nothing is heard, and that is what counts.
      ping().catch(() => {});
    }, timing.quietMs);
  };
  let hasBegun = false;
  const lines = createSseLines(maxLineLength, (data) => {
    const event = readEvent(data);
    if (signal.aborted) return;
    if (event.kind === "begun") {
      hasBegun = true;
      open();
    } else if (event.kind === "message") message(event.channel, event.text);
  });
  try {
    giveUpAfter(timing.answerMs);
    const response = await fetch(`${url.replace(/\/$/, "")}/psubscribe/${pattern}`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, accept: "text/event-stream" },
      cache: "no-store",
      signal: AbortSignal.any([signal, giveUp.signal]),
    });
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      return `refuses a subscription (HTTP ${response.status})`;
    }
    for await (const bytes of response.body) {
      lines.feed(bytes);
      // Until it is confirmed, the time in which it has to begin goes on.
      if (hasBegun) hearSomethingSoon();
    }
    return "ended a subscription";
  } catch (error) {
    if (giveUp.signal.aborted) return "fell silent under a subscription";
    return error instanceof RangeError ? "sent a line that is too long" : "broke a subscription off";
  } finally {
    clearTimeout(timer);
    giveUp.abort();
  }
}

type SseEvent =
  | { readonly kind: "begun" }
  | { readonly kind: "message"; readonly channel: string; readonly text: string }
  | { readonly kind: "other" };

/** `pmessage,<pattern>,<channel>,<text>`: only the text may have commas. */
function readEvent(data: string): SseEvent {
  if (data.startsWith("psubscribe,")) return { kind: "begun" };
  const [, channel, text] = /^pmessage,[^,]*,([^,]*),(.*)$/s.exec(data) ?? [];
  return channel === undefined || text === undefined ? { kind: "other" } : { kind: "message", channel, text };
}

/** Resolves after so many ms, or when the signal aborts. */
function pause(waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, waitMs);
    signal.addEventListener("abort", end);
  });
}
