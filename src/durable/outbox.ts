/** Sends texts to channels, in the order of each, and never keeps whoever hands one over waiting. */
export interface Outbox {
  /** False: there is no room for it. */
  put(channel: string, text: string): boolean;
  close(): void;
}

export interface OutboxOptions {
  /** Of all that waits, in UTF-16 code units. */
  readonly maxWaitingLength: number;
  /** Of what waits for one channel: a session of which too much is said does not take the others' room. */
  readonly maxChannelLength: number;
  /** Of what is sent at once, likewise; a single text may be longer. */
  readonly maxBatchLength: number;
  send(channel: string, texts: readonly string[]): Promise<unknown>;
  /** So many were sent and failed. They are not sent again. */
  lost(count: number): void;
}

/**
 * One batch of a channel is under way at a time, so that its order holds on a way that keeps none, and what comes
 * meanwhile gathers for the next: the slower the way, the fewer and larger the batches.
 */
export function createOutbox(options: OutboxOptions): Outbox {
  const { maxWaitingLength, maxChannelLength, maxBatchLength, send, lost } = options;
  const waiting = new Map<string, Waiting>();
  let waitingLength = 0;
  let isClosed = false;

  const takeBatch = (channel: Waiting): string[] => {
    let length = 0;
    let count = 0;
    for (const text of channel.texts) {
      if (count > 0 && length + text.length > maxBatchLength) break;
      length += text.length;
      count++;
    }
    waitingLength -= length;
    channel.length -= length;
    return channel.texts.splice(0, count);
  };

  const drain = async (name: string, channel: Waiting): Promise<void> => {
    while (channel.texts.length > 0 && !isClosed) {
      const batch = takeBatch(channel);
      try {
        await send(name, batch);
      } catch {
        lost(batch.length);
      }
    }
    waiting.delete(name);
  };

  return {
    put(name, text) {
      const known = waiting.get(name);
      const { length } = text;
      if (isClosed || waitingLength + length > maxWaitingLength) return false;
      if (known !== undefined && known.length + length > maxChannelLength) return false;
      waitingLength += length;
      if (known !== undefined) {
        known.texts.push(text);
        known.length += length;
      } else {
        const channel = { texts: [text], length };
        waiting.set(name, channel);
        void drain(name, channel);
      }
      return true;
    },
    close() {
      isClosed = true;
      waiting.clear();
    },
  };
}

interface Waiting {
  readonly texts: string[];
  length: number;
}
