import type { DescMessage } from "@bufbuild/protobuf";
import { BatonError } from "../../session/reasons.ts";
import type { FrameForm, Inbound } from "../stream.ts";
import { createBase64Decoder } from "./base64.ts";
import type { Decompress } from "./compression.ts";
import { decodeMessage, envelopeBytes } from "./envelope.ts";
import { createEnvelopeReader } from "./envelope-reader.ts";

export interface InboundOptions<I extends DescMessage> {
  readonly schema: I;
  readonly form: FrameForm;
  /** The largest message taken, in bytes, without its envelope, compressed and not. */
  readonly maxMessageBytes: number;
  /** Undefined: no message is compressed. */
  readonly decompress?: Decompress | undefined;
  /** The call's. When it aborts, the body is let go, and whoever waits is rejected with its reason. */
  readonly signal: AbortSignal;
  /** The body broke off: the peer is gone. */
  readonly gone: () => void;
}

/**
 * The messages of a request body, for one consumer. One read is always under way, also while nobody asks for a message:
 * on some runtimes its failure is the only sign that the peer has gone (Deno, HTTP/1.1). So at most one chunk waits here.
 */
export function createInbound<I extends DescMessage>(
  body: ReadableStream<Uint8Array> | null,
  options: InboundOptions<I>,
): AsyncIterableIterator<Inbound<I>> {
  const { schema, form, maxMessageBytes, decompress, signal } = options;
  const envelopes = createEnvelopeReader(maxMessageBytes, decompress !== undefined);
  const base64 = form === "text" ? createBase64Decoder() : undefined;
  let reader = body?.getReader();
  let readAhead: Uint8Array | undefined;
  let isEnded = reader === undefined;
  let failure: unknown;
  let wake: (() => void) | undefined;

  function read(): void {
    reader?.read().then(
      ({ done, value }) => {
        if (done) release();
        else readAhead = value;
        wake?.();
      },
      () => {
        options.gone();
      },
    );
  }

  /** The body has ended: nothing of it is held for the rest of the call. */
  function release(): void {
    isEnded = true;
    reader = undefined;
    signal.removeEventListener("abort", letGo);
  }
  function letGo(): void {
    readAhead = undefined;
    wake?.();
    reader?.cancel().catch(() => undefined);
  }

  signal.addEventListener("abort", letGo, { once: true });
  read();

  /** A message's bytes; undefined: the peer has closed its half. */
  async function nextData(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (failure !== undefined) throw failure;
      if (signal.aborted) throw signal.reason;
      const data = envelopes.take();
      if (data !== undefined) return data;
      if (readAhead !== undefined) {
        envelopes.push(base64 === undefined ? readAhead : base64.decode(readAhead));
        readAhead = undefined;
        read();
      } else if (isEnded) {
        if (envelopes.isIncomplete || base64?.isIncomplete)
          throw new BatonError("MALFORMED", "the body ends within a message");
        return undefined;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    }
  }

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      try {
        let data = await nextData();
        if (data === undefined) return { done: true, value: undefined };
        if (envelopes.isCompressed && decompress !== undefined) {
          data = await decompress(data, maxMessageBytes);
          if (signal.aborted) throw signal.reason;
        }
        return {
          done: false,
          value: { message: decodeMessage(schema, data, form), bytes: envelopeBytes + data.length },
        };
      } catch (error) {
        failure = error;
        throw error;
      }
    },
  };
}

/** What a server-streaming method reads: exactly one message, given out once the body has ended behind it. */
export async function* exactlyOne<T>(inbound: AsyncIterableIterator<T>): AsyncGenerator<T, void> {
  const first = await inbound.next();
  if (first.done) throw new BatonError("MALFORMED", "the call carries no message; this method takes one");
  const second = await inbound.next();
  if (!second.done) throw new BatonError("MALFORMED", "the call carries several messages; this method takes one");
  yield first.value;
}
