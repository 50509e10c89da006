/** Sends texts to channels, in the order of each, and never keeps whoever hands one over waiting. */
export interface Outbox {
  /** False: there is no room for it. */
  put(channel: string, text: string): boolean;
  close(): void;
}

export interface OutboxOptions {
  /** Of all that waits, in UTF-16 code units. */
  readonly maxWaitingLength: number;
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
export function createOutbox({ maxWaitingLength, maxBatchLength, send, lost }: OutboxOptions): Outbox {
  const waiting = new Map<string, string[]>();
  let waitingLength = 0;
  let isClosed = false;

  const takeBatch = (texts: string[]): string[] => {
    let length = 0;
    let count = 0;
    for (const text of texts) {
      if (count > 0 && length + text.length > maxBatchLength) break;
      length += text.length;
      count++;
    }
    waitingLength -= length;
    return texts.splice(0, count);
  };

  const drain = async (channel: string, texts: string[]): Promise<void> => {
    while (texts.length > 0 && !isClosed) {
      const batch = takeBatch(texts);
      try {
        await send(channel, batch);
      } catch {
        lost(batch.length);
      }
    }
    waiting.delete(channel);
  };

  return {
    put(channel, text) {
      if (isClosed || waitingLength + text.length > maxWaitingLength) return false;
      waitingLength += text.length;
      const texts = waiting.get(channel);
      if (texts === undefined) {
        const first = [text];
        waiting.set(channel, first);
        void drain(channel, first);
      } else texts.push(text);
      return true;
    },
    close() {
      isClosed = true;
      waiting.clear();
    },
  };
}
