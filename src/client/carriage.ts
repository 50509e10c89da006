import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { StreamEnd } from "../session/client/stream-end.ts";

/** Whom a carriage tells what came by it. After `ended` nothing more comes. */
export interface CarriageListener {
  received(message: SessionMessage): void;
  /** A reply of a `Publish`: durable, not in the stream's order. */
  replied(message: SessionMessage): void;
  /** A `Publish` that carried these numbers is over. */
  publishEnded(clientSeqs: readonly number[]): void;
  ended(end: StreamEnd): void;
}

/** A stream that is open, or is being opened. */
export interface OpenCarriage {
  send(message: SessionMessage): void;
  /** Nothing more is sent; what was sent is still answered, then the stream ends. */
  finish(): void;
  /** The stream is of no more use; its end is not told. */
  cut(): void;
}

export interface CarriageCall {
  readonly join: SessionMessage;
  readonly token: string;
  readonly listener: CarriageListener;
}

/** One way to hold a session: full duplex, or a stream down and calls up. */
export type Carriage = (call: CarriageCall) => OpenCarriage;
