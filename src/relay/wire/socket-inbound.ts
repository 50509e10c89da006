import type { DescMessage } from "@bufbuild/protobuf";
import { assertNever, BatonError } from "../../session/reasons.ts";
import type { Inbound } from "../stream.ts";
import { decodeMessage, envelopeBytes } from "./envelope.ts";
import { createEnvelopeReader } from "./envelope-reader.ts";
import type { SocketQueue } from "./socket-queue.ts";

export interface SocketInboundOptions<I extends DescMessage> {
  readonly schema: I;
  readonly form: "binary" | "json";
  /** The largest message taken, in bytes, without its envelope. */
  readonly maxMessageBytes: number;
  /** The call's. When it aborts, whoever waits is rejected with its reason. */
  readonly signal: AbortSignal;
  /** The socket has closed, and all that came before was given out: the peer is gone. */
  readonly gone: () => void;
}

const encoder = new TextEncoder();

/**
 * The messages that come up a socket, for one consumer. A WebSocket cannot be closed by halves, so a client says that it
 * has nothing more to say by an empty message; what comes behind that is not read.
 */
export function createSocketInbound<I extends DescMessage>(
  queue: SocketQueue,
  options: SocketInboundOptions<I>,
): AsyncIterableIterator<Inbound<I>> {
  const { schema, form, maxMessageBytes, signal, gone } = options;
  const nextData = form === "binary" ? binaryReader(queue, maxMessageBytes) : jsonReader(queue, maxMessageBytes);
  let failure: unknown;
  signal.addEventListener("abort", () => queue.finish(), { once: true });

  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      try {
        for (;;) {
          if (failure !== undefined) throw failure;
          if (signal.aborted) throw signal.reason;
          const next = nextData();
          switch (next.kind) {
            case "message":
              return { done: false, value: { message: decodeMessage(schema, next.data, form), bytes: next.bytes } };
            case "finished":
              queue.finish();
              return { done: true, value: undefined };
            case "nothing":
              if (queue.isClosed) gone();
              else await queue.changed();
              break;
            default:
              assertNever(next);
          }
        }
      } catch (error) {
        failure = error;
        queue.finish();
        throw error;
      }
    },
  };
}

type Next =
  | { readonly kind: "message"; readonly data: Uint8Array; readonly bytes: number }
  /** The client has closed its half. */
  | { readonly kind: "finished" }
  /** Yet. */
  | { readonly kind: "nothing" };

const finished: Next = { kind: "finished" };
const nothing: Next = { kind: "nothing" };

/** One or more whole frames in each message. */
function binaryReader(queue: SocketQueue, maxMessageBytes: number): () => Next {
  const envelopes = createEnvelopeReader(maxMessageBytes);
  return () => {
    for (;;) {
      const data = envelopes.take();
      if (data !== undefined) return { kind: "message", data, bytes: envelopeBytes + data.length };
      if (envelopes.isIncomplete) throw new BatonError("MALFORMED", "a binary message ends within a frame");
      const message = queue.take();
      if (message === undefined) return nothing;
      if (typeof message === "string") throw new BatonError("MALFORMED", "a text message came; baton.v1 is binary");
      if (message.length === 0) return finished;
      envelopes.push(message);
    }
  };
}

function jsonReader(queue: SocketQueue, maxMessageBytes: number): () => Next {
  return () => {
    const message = queue.take();
    if (message === undefined) return nothing;
    if (typeof message !== "string") throw new BatonError("MALFORMED", "a binary message came; baton.v1.json is text");
    if (message === "") return finished;
    const data = encoder.encode(message);
    if (data.length > maxMessageBytes) {
      throw new BatonError("MESSAGE_TOO_LARGE", `a message of ${data.length} bytes is larger than ${maxMessageBytes}`);
    }
    return { kind: "message", data, bytes: data.length };
  };
}
