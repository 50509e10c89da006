import { getLogger } from "@logtape/logtape";
import { BatonError } from "../session/reasons.ts";
import type { RedisListener } from "./redis-connection.ts";
import type { RedisLink } from "./redis-link.ts";

const logger = getLogger(["baton", "redis"]);

interface Channel {
  readonly listeners: Set<RedisListener>;
  /** The link on which the server was asked to tell. */
  heardOn: RedisLink | undefined;
  isSettling: boolean;
}

/** Who listens to what, over links that come and go: one subscription for each channel, however many listen. */
export class RedisChannels {
  readonly #channels = new Map<string, Channel>();
  #link: RedisLink | undefined;

  /** What is subscribed is so on this link from now on; undefined: on none, for the time being. */
  use(link: RedisLink | undefined): void {
    this.#link = link;
    for (const [name, channel] of this.#channels) void this.#settle(name, channel);
  }

  subscribe(name: string, listener: RedisListener): () => void {
    const channel = this.#channels.get(name) ?? { listeners: new Set(), heardOn: undefined, isSettling: false };
    this.#channels.set(name, channel);
    // Two subscriptions of one listener are two.
    const own: RedisListener = { open: () => listener.open(), message: (text) => listener.message(text) };
    channel.listeners.add(own);
    if (channel.heardOn !== undefined && channel.heardOn === this.#link) {
      queueMicrotask(() => channel.listeners.has(own) && callSafely(() => own.open()));
    }
    void this.#settle(name, channel);
    return () => {
      channel.listeners.delete(own);
      void this.#settle(name, channel);
    };
  }

  /** Brings what the server knows to what is wanted, one step after the other. Never rejects. */
  async #settle(name: string, channel: Channel): Promise<void> {
    if (channel.isSettling) return;
    channel.isSettling = true;
    try {
      for (;;) {
        const link = this.#link;
        if (channel.heardOn !== link) channel.heardOn = undefined;
        const isWanted = channel.listeners.size > 0;
        if (link === undefined || isWanted === (channel.heardOn === link)) break;
        if (isWanted) {
          await link.subscribe(name, (text) => tell(channel, (listener) => listener.message(text)));
          channel.heardOn = link;
          if (this.#link === link) tell(channel, (listener) => listener.open());
        } else {
          await link.unsubscribe(name);
          channel.heardOn = undefined;
        }
      }
    } catch (error) {
      // A link that was lost is followed by another, and all is settled anew. A server that refuses is not asked again on
      // this one: it gave a reason.
      if (!(error instanceof BatonError) || error.cause === undefined) return;
      logger.warn("a channel of the log's Redis cannot be listened to now", { reason: error.message });
    } finally {
      channel.isSettling = false;
    }
    if (channel.listeners.size === 0 && channel.heardOn === undefined && this.#channels.get(name) === channel) {
      this.#channels.delete(name);
    }
  }
}

function tell(channel: Channel, call: (listener: RedisListener) => void): void {
  for (const listener of [...channel.listeners]) {
    if (channel.listeners.has(listener)) callSafely(() => call(listener));
  }
}

function callSafely(call: () => void): void {
  try {
    call();
  } catch (error) {
    // One listener's fault is not the others' loss.
    logger.error("a listener of a channel failed", { error: error instanceof Error ? error.name : "unknown" });
  }
}
