import type { ClientKey } from "./session-log.ts";

/**
 * What crosses instances and is not logged. A message may be lost, late or doubled: that costs at most a resume or a
 * late cursor. A publisher does not hear itself.
 */
export type BusMessage =
  /** A cursor, presence or ephemeral custom message; `slot` tells which earlier one it replaces. */
  | { readonly kind: "ephemeral"; readonly sender: ClientKey; readonly slot: string; readonly frame: Uint8Array }
  /** A client was claimed anew: its streams of older generations end. */
  | { readonly kind: "supersede"; readonly client: ClientKey; readonly generation: number }
  /** An operator ends streams: of a user, or of one of its clients. */
  | { readonly kind: "disconnect"; readonly userId: string; readonly clientId: string };

export interface SessionBus {
  publish(sessionId: string, message: BusMessage): void;
  /** Returns what ends the subscription. */
  subscribe(sessionId: string, receive: (message: BusMessage) => void): () => void;
}
