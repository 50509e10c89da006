import type { ClientKey } from "./session-log.ts";

/**
 * What crosses instances and is not logged. A message may be lost, late or doubled: that costs at most a resume, a late
 * cursor, or a stream that lives on until something else tells. A publisher does not hear itself.
 */
export type BusMessage =
  /** A cursor, presence or ephemeral custom message; `slot` tells which earlier one it replaces. */
  | { readonly kind: "ephemeral"; readonly sender: ClientKey; readonly slot: string; readonly frame: Uint8Array }
  /** A client was claimed anew: its streams of older generations end. */
  | { readonly kind: "supersede"; readonly client: ClientKey; readonly generation: number }
  /** The session was deleted, or its history replaced: whoever still serves this epoch ends it. */
  | { readonly kind: "epoch-ended"; readonly epoch: string };

/** What every instance is told, whatever sessions are open on it. */
export type InstanceMessage =
  /** An operator ends streams: those that all that is given here is true of; empty = any. */
  | { readonly kind: "disconnect"; readonly sessionId: string; readonly userId: string; readonly clientId: string }
  /** Tokens were revoked: the log's store has something new. */
  | { readonly kind: "revoked" };

export interface SessionBus {
  publish(sessionId: string, message: BusMessage): void;
  /** Returns what ends the subscription. */
  subscribe(sessionId: string, receive: (message: BusMessage) => void): () => void;
  /** To all other instances. */
  announce(message: InstanceMessage): void;
  /** Returns what ends it. */
  listen(receive: (message: InstanceMessage) => void): () => void;
}
