import { type BusCodec, instanceCodec, maxLetterLength, sealLetter, sessionCodec } from "./bus-codec.ts";
import { createLocalBus } from "./bus-local.ts";
import { createOutbox } from "./outbox.ts";
import type { RedisConnection, RedisListener } from "./redis-connection.ts";
import { encodeName } from "./redis-keys.ts";
import type { SessionBus } from "./session-bus.ts";

export interface RedisBusOptions {
  /** Of letters, digits, `_`, `:` and `-`; the same for all instances of one deployment, and of no other. */
  readonly prefix: string;
  /** No two alike, not even of one that comes after the other. */
  readonly instanceId: string;
  /** A subscriber's own fault. */
  readonly onError?: (error: unknown) => void;
}

/** Messages, since the bus was made. */
export interface BusCounts {
  /** Not sent: there was no room, or Redis did not take it. */
  readonly lost: number;
  /** Came and cannot have been meant. */
  readonly damaged: number;
  /** Came from a newer relay, and this one does not know what they are. */
  readonly unknown: number;
}

export interface RedisBus extends SessionBus {
  readonly counts: BusCounts;
  /** What waits is dropped. The connection is its owner's to close. */
  close(): void;
}

/** What waits for a Redis that is slow, of all sessions: some 10,000 cursors. */
const maxWaitingLength = 4_000_000;
const maxChannelLength = maxWaitingLength / 4;
/** Well below what a line of a subscription may have, with room for what stands around the messages. */
const maxBatchLength = maxLetterLength / 2;

/** The port `SessionBus` over what is published on a Redis: a channel for each session, and one for all instances. */
export function createRedisBus(connection: RedisConnection, options: RedisBusOptions): RedisBus {
  const { prefix, instanceId, onError } = options;
  const counts = { lost: 0, damaged: 0, unknown: 0 };
  // What came from outside is told to those inside as it is in one process, to whom and after what faults.
  const local = createLocalBus(onError);
  const [outside, inside] = [local.member(), local.member()];
  const upstreams = new Map<string, { subscribers: number; readonly end: () => void }>();
  const everybody = `${prefix}bus`;

  const outbox = createOutbox({
    maxWaitingLength,
    maxChannelLength,
    maxBatchLength,
    send: (channel, texts) => connection.command("PUBLISH", channel, sealLetter(instanceId, texts)),
    lost(count) {
      counts.lost += count;
    },
  });

  const put = <M>(codec: BusCodec<M>, channel: string, message: M) => {
    const text = codec.encode(message);
    if (text.length > maxBatchLength || !outbox.put(channel, text)) counts.lost++;
  };

  const hear = <M>(codec: BusCodec<M>, tell: (message: M) => void): RedisListener => ({
    // What was published before is lost, and the bus may lose.
    open() {},
    message(text) {
      const letter = codec.open(text);
      if (letter === undefined) counts.damaged++;
      if (letter === undefined || letter.from === instanceId) return;
      counts.damaged += letter.damaged;
      counts.unknown += letter.unknown;
      for (const message of letter.messages) tell(message);
    },
  });

  /** One subscription upstream, however many there are here. */
  const share = (channel: string, listener: RedisListener, leave: () => void): (() => void) => {
    const upstream = upstreams.get(channel) ?? { subscribers: 0, end: connection.subscribe(channel, listener) };
    upstreams.set(channel, upstream);
    upstream.subscribers++;
    let hasLeft = false;
    return () => {
      leave();
      if (hasLeft) return;
      hasLeft = true;
      upstream.subscribers--;
      if (upstream.subscribers > 0) return;
      upstreams.delete(channel);
      upstream.end();
    };
  };

  return {
    counts,
    publish: (sessionId, message) => put(sessionCodec, sessionChannel(prefix, sessionId), message),
    subscribe(sessionId, receive) {
      const listener = hear(sessionCodec, (message) => outside.publish(sessionId, message));
      return share(sessionChannel(prefix, sessionId), listener, inside.subscribe(sessionId, receive));
    },
    announce: (message) => put(instanceCodec, everybody, message),
    listen(receive) {
      const listener = hear(instanceCodec, (message) => outside.announce(message));
      return share(everybody, listener, inside.listen(receive));
    },
    close() {
      outbox.close();
      for (const { end } of upstreams.values()) end();
      upstreams.clear();
    },
  };
}

const sessionChannel = (prefix: string, sessionId: string) => `${prefix}bus:${encodeName(sessionId)}`;
