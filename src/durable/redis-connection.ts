/**
 * The way to a Redis, whichever protocol it takes. All that is stored there is text: frames are in base64, so that a
 * store that was written over TCP can be read over REST.
 *
 * Every method may reject with a `BatonError`: `LOG_UNAVAILABLE` (nothing is known of the outcome), `LOG_FULL` (refused
 * for its size or for want of room; nothing was written). Nothing is ever sent twice by itself: whoever calls knows
 * whether that is safe.
 */
export interface RedisConnection {
  /**
   * Runs a script, atomically. By its hash; where the server does not know it (any more), once more with its text, which
   * is safe: a script that was not known did nothing.
   */
  run(script: RedisScript, keys: readonly string[], args: readonly string[]): Promise<RedisReply>;
  /** Any other command. */
  command(name: string, ...args: readonly string[]): Promise<RedisReply>;
  /**
   * Hears what is published on a channel, over connections that come and go: `open` is called each time the subscription
   * has begun or begun again, and what was published before is lost. Returns what ends it.
   */
  subscribe(channel: string, heard: RedisListener): () => void;
  close(): Promise<void>;
}

export interface RedisScript {
  /** For people who read the server's log. */
  readonly name: string;
  /** Without a first line `#!lua`. It touches no key that is not among its keys. */
  readonly lua: string;
}

export type RedisReply = null | number | string | readonly RedisReply[];

export interface RedisListener {
  open(): void;
  message(text: string): void;
}
