import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { StreamEnd } from "../session/client/stream-end.ts";

/** How a stream ended, with words where there are any. */
export interface CarriageEnd extends StreamEnd {
  /** Of the error, for people: a relay's sentence, or what the network said. */
  readonly message?: string | undefined;
  /** The system's name of the error below: ECONNREFUSED. */
  readonly systemCode?: string | undefined;
}

/** Whom a carriage tells what came by it. After `ended` nothing more comes. */
export interface CarriageListener {
  received(message: SessionMessage): void;
  /** A reply of a `Publish`: durable, not in the stream's order. */
  replied(message: SessionMessage): void;
  /** A `Publish` that carried these numbers is over. */
  publishEnded(clientSeqs: readonly number[]): void;
  ended(end: CarriageEnd): void;
}

/** A stream that is open, or is being opened. */
export interface OpenCarriage {
  send(message: SessionMessage): void;
  /** Offers a new token under the running stream; the answer is a `TokenStatus`. */
  rotate(token: string): void;
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
