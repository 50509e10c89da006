import { getLogger } from "@logtape/logtape";
import type { RedisListener } from "./redis-connection.ts";
import { type SubscriptionTiming, subscribeToPattern } from "./redis-sse.ts";

const logger = getLogger(["baton", "log"]);

export interface PatternListenersOptions {
  readonly url: string;
  readonly token: string;
  readonly pattern: string;
  readonly timing: SubscriptionTiming | undefined;
  /** Publishes something that the pattern hears. */
  ping(): Promise<unknown>;
  tell(why: string): void;
}

export interface PatternListeners {
  /** @param channel one that the pattern hears, without a comma or a line break in its name */
  subscribe(channel: string, heard: RedisListener): () => void;
  close(): void;
}

const defaultTiming: SubscriptionTiming = { quietMs: 20_000, answerMs: 5_000, firstWaitMs: 200, longestWaitMs: 10_000 };

/**
 * All subscriptions of an instance over one stream, which hears a pattern and passes on what somebody
 * here listens to. A stream for each channel would be the plain way, but each is a request that never ends, and a runtime
 * or a server bounds those: Bun's `fetch` has 256 under way at once, and commands then wait behind subscriptions.
 */
export function createPatternListeners(options: PatternListenersOptions): PatternListeners {
  const channels = new Map<string, Set<RedisListener>>();
  let following: AbortController | undefined;
  let isOpen = false;
  let isClosed = false;

  const call = (listener: RedisListener, act: (listener: RedisListener) => void) => {
    try {
      act(listener);
    } catch (error) {
      // Its text may repeat what was heard.
      logger.error("a listener of a channel failed", { error: error instanceof Error ? error.name : "unknown" });
    }
  };

  const start = () => {
    following = new AbortController();
    void subscribeToPattern(
      {
        ...options,
        timing: options.timing ?? defaultTiming,
        open() {
          isOpen = true;
          for (const listener of [...channels.values()].flatMap((set) => [...set])) call(listener, (l) => l.open());
        },
        message(channel, text) {
          const listeners = channels.get(channel);
          for (const listener of listeners === undefined ? [] : [...listeners]) {
            // Asked again for each: a listener may have ended another's subscription just now.
            if (listeners?.has(listener)) call(listener, (l) => l.message(text));
          }
        },
        broken(why) {
          isOpen = false;
          options.tell(why);
        },
      },
      following.signal,
    );
  };
  const stop = () => {
    following?.abort();
    following = undefined;
    isOpen = false;
  };

  return {
    subscribe(channel, heard) {
      if (isClosed) return () => {};
      // Two subscriptions with the same listener are two.
      const own: RedisListener = { open: () => heard.open(), message: (text) => heard.message(text) };
      const listeners = channels.get(channel) ?? new Set();
      channels.set(channel, listeners.add(own));
      if (following === undefined) start();
      // Not before its caller holds what ends it.
      else if (isOpen) queueMicrotask(() => listeners.has(own) && isOpen && call(own, (l) => l.open()));
      return () => {
        listeners.delete(own);
        if (listeners.size === 0 && channels.get(channel) === listeners) channels.delete(channel);
        if (channels.size === 0) stop();
      };
    },
    close() {
      isClosed = true;
      channels.clear();
      stop();
    },
  };
}
