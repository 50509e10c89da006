import type { Limits, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { ClientEffect } from "../session/client/effects.ts";
import type { StreamEnd } from "../session/client/stream-end.ts";

/** An effect of a machine that tells its application `Event`s. */
export type MachineEffect<Event> =
  | Exclude<ClientEffect, { readonly kind: "tell" }>
  | { readonly kind: "tell"; readonly event: Event };

type Effects<Event> = readonly MachineEffect<Event>[];

/** What a connection runs: a pure machine that says what to send and when to come back. `SessionClient` is one. */
export interface Machine<Event> {
  /** As the last Welcome said. */
  readonly limits: Limits | undefined;
  join(): SessionMessage;
  receive(message: SessionMessage, nowMs: number, receivedBytes?: number): Effects<Event>;
  receiveReply(message: SessionMessage, nowMs: number): Effects<Event>;
  publishEnded(clientSeqs: readonly number[]): Effects<Event>;
  retry(): Effects<Event>;
  ended(end: StreamEnd): Effects<Event>;
  renew(clientId: string, tail?: readonly SessionMessage[]): Effects<Event>;
}
