import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { BatonError } from "../session/reasons.ts";

/**
 * Which form of a frame a peer takes. All are enveloped alike: a byte of flags, four of length, the message. "text" is the
 * binary frame, its envelope with it, in base64.
 */
export type FrameForm = "binary" | "json" | "text";

/**
 * The way down to one peer. It takes whole enveloped frames, ready to be written, and never encodes or queues one
 * itself beyond what the transport below it buffers.
 */
export interface Outlet {
  readonly form: FrameForm;
  /**
   * Writes one or more whole frames, which must not be changed afterwards, and flushes them. Undefined: the peer keeps
   * up, more may follow. A promise: these frames were taken, but the peer is behind; write no more until it resolves
   * (it resolves as well when the peer is gone; it never rejects). After `end` or the peer's going it does nothing.
   */
  write(frames: Uint8Array): Promise<void> | undefined;
  /**
   * Of an outlet that writes in pieces what it is given at once: when the peer last took one, ms since the Unix epoch.
   * Whoever takes pieces is slow, and not gone.
   */
  readonly tookPieceAtMs?: number;
  /** Ends the stream, once: with OK, or with the error, its reason as a `Fault` in the error's details. */
  end(error?: BatonError): void;
}

export interface Inbound<I extends DescMessage> {
  readonly message: MessageShape<I>;
  /** Bytes of the message, decompressed, and of its envelope where it has one. */
  readonly bytes: number;
}

/** One streaming call, whatever protocol, carriage or runtime it came by. */
export interface StreamCall<I extends DescMessage> {
  /** Correlation id: in every log line about this stream. */
  readonly streamId: string;
  readonly protocol: "connect" | "grpc-web" | "grpc" | "websocket";
  readonly headers: Headers;
  /**
   * Messages as they come, decoded once. It ends when the peer has closed its half, and rejects with a `BatonError`:
   * `MALFORMED`, `MESSAGE_TOO_LARGE`, or, when the peer is gone, whatever `signal` was aborted with.
   */
  readonly inbound: AsyncIterable<Inbound<I>>;
  readonly outlet: Outlet;
  /**
   * Aborted once when the call is over, whatever told so first: the peer is gone, its deadline has passed (reason: a
   * `BatonError` `DEADLINE`), or the handler ended it.
   */
  readonly signal: AbortSignal;
}

/** Resolves when the handler has done with the call; it ends the outlet itself. A rejection ends the stream with it. */
export type StreamHandler<I extends DescMessage> = (call: StreamCall<I>) => Promise<void>;
