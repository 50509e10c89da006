import type { ServerResponse } from "node:http";
import type { createClient } from "@redis/client";

/** What the bridge does to the streams of subscriptions. */
export interface StreamFaults {
  /** What is sent in place of each message; nothing: it is lost. Called for messages, not for confirmations. */
  deliver?: (line: string) => readonly string[];
  /** Every byte goes out by itself. */
  isSliced?: boolean;
  /** New ones are refused with this status. */
  refuse?: number;
  /** Blank lines between events, as the standard has it; absent: as Upstash shows it, one line break. */
  endOfLine?: "\n" | "\n\n" | "\r\n\r\n";
}

export interface UpstashStreams {
  /** How many were opened so far. */
  readonly opened: number;
  /** How many are open. */
  readonly living: number;
  open(isPattern: boolean, channel: string, response: ServerResponse, faults: StreamFaults): Promise<void>;
  /** The end of a body, as a proxy may end it. */
  end(): void;
  /** Nothing comes any more, and nobody says so. */
  stall(): void;
  /** A TCP reset. */
  reset(): void;
  /** Whatever bytes, to all of them. */
  write(text: string): void;
  close(): Promise<void>;
}

interface Stream {
  readonly response: ServerResponse;
  isStalled: boolean;
  release(): void;
}

type Redis = Pick<ReturnType<typeof createClient>, "duplicate">;

/** Subscriptions as `text/event-stream`, each with a connection of its own to the Redis behind. */
export function openStreams(redis: Redis): UpstashStreams {
  const living = new Set<Stream>();
  let opened = 0;
  const write = (stream: Stream, text: string, isSliced = false) => {
    if (stream.isStalled) return;
    if (!isSliced) stream.response.write(text);
    else for (const byte of Buffer.from(text)) stream.response.write(Uint8Array.of(byte));
  };
  return {
    get opened() {
      return opened;
    },
    get living() {
      return living.size;
    },
    async open(isPattern, channel, response, faults) {
      if (faults.refuse !== undefined) {
        response.writeHead(faults.refuse, { "content-type": "application/json" });
        response.end(JSON.stringify({ error: "ERR subscriptions are refused" }));
        return;
      }
      const subscriber = redis.duplicate();
      subscriber.on("error", () => {});
      const end = faults.endOfLine ?? "\n";
      const stream: Stream = { response, isStalled: false, release: () => subscriber.destroy() };
      living.add(stream);
      // Before anything is waited for: the caller may be gone by then.
      response.once("close", () => {
        if (living.delete(stream)) stream.release();
      });
      await subscriber.connect();
      opened++;
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
      const hear = (message: string, from: string) => {
        const line = isPattern ? `data: pmessage,${channel},${from},${message}` : `data: message,${from},${message}`;
        for (const text of faults.deliver?.(line) ?? [line]) write(stream, text + end, faults.isSliced);
      };
      if (isPattern) await subscriber.pSubscribe(channel, hear);
      else await subscriber.subscribe(channel, hear);
      write(stream, `data: ${isPattern ? "psubscribe" : "subscribe"},${channel},1${end}`, faults.isSliced);
    },
    end() {
      for (const { response } of living) response.end();
    },
    stall() {
      for (const stream of living) stream.isStalled = true;
    },
    reset() {
      for (const { response } of living) response.socket?.destroy();
    },
    write(text) {
      for (const stream of living) write(stream, text);
    },
    async close() {
      for (const { response, release } of living) {
        release();
        response.destroy();
      }
      living.clear();
    },
  };
}
