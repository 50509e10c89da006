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
  | { readonly kind: "epoch-ended"; readonly epoch: string }
  | RosterMessage
  /** Somebody has come to the session's subscribers who does not know whom they hold. */
  | { readonly kind: "roster-wanted" }
  | HeardMessage
  /** The token in force for a client's stream is this one, whoever holds it. */
  | { readonly kind: "renewed"; readonly client: ClientKey; readonly generation: number; readonly token: BusToken }
  /**
   * An instance has been losing the race for the log's next place for `waitedMs`: whoever has not for as long holds back,
   * for `holdMs` or until a record of this client, which waits there, is in the log.
   */
  | { readonly kind: "contended"; readonly client: ClientKey; readonly holdMs: number; readonly waitedMs: number }
  /** A snapshot of this epoch is written, so that nobody else need write one; the log begins at `first` now. */
  | { readonly kind: "snapshot"; readonly epoch: string; readonly seq: number; readonly first: number };

/** Whom one subscriber holds. One that is older than what was heard of the same holder says nothing any more. */
export interface RosterMessage {
  readonly kind: "roster";
  /** Names the subscriber, for as long as it is one. */
  readonly holder: string;
  /** Counts its messages: 1, 2, 3, ... */
  readonly number: number;
  /** Whether `members` are all that it holds; otherwise those of whom something changed. */
  readonly isAll: boolean;
  readonly members: readonly RosterMember[];
  readonly left: readonly { readonly client: ClientKey; readonly generation: number }[];
  /** Streams that only read. */
  readonly readers: number;
}

/** Somebody who may write, and under which claim. */
export interface RosterMember {
  readonly client: ClientKey;
  readonly generation: number;
  readonly displayName: string;
  /** `PresenceUpdate.Status` of the contract. */
  readonly status: number;
  readonly cursor?: BusCursor | undefined;
}

/** `CursorPosition` of the contract. */
export interface BusCursor {
  readonly filePath: string;
  readonly line: number;
  readonly column: number;
  readonly version: number;
  readonly anchorLine: number;
  readonly anchorColumn: number;
}

/** A client whose stream is elsewhere was heard here, by a call: its stream lives. */
export interface HeardMessage {
  readonly kind: "heard";
  readonly client: ClientKey;
  readonly generation: number;
  /** Of the call; undefined: it says nothing new. */
  readonly token?: BusToken | undefined;
  /** Whether its user did something. */
  readonly isInput: boolean;
  /** What it says of itself; `PresenceUpdate` of the contract. */
  readonly says?: { readonly status: number; readonly displayName: string } | undefined;
}

/** What a verified token says; never the token. */
export interface BusToken {
  readonly userId: string;
  readonly scopes: readonly string[];
  readonly sessions: readonly string[];
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly tokenId?: string | undefined;
}

/** What every instance is told, whatever sessions are open on it. */
export type InstanceMessage =
  /** An operator ends streams: those that all that is given here is true of; empty = any. `ask` names the question. */
  | {
      readonly kind: "disconnect";
      readonly sessionId: string;
      readonly userId: string;
      readonly clientId: string;
      readonly ask?: string | undefined;
    }
  /** How many streams an instance ended for this question. */
  | { readonly kind: "disconnected"; readonly ask: string; readonly instance: string; readonly streams: number }
  /** An instance is there, again and again; "new": it asks the others to say so too; "gone": it is about to go. */
  | { readonly kind: "instance"; readonly instance: string; readonly state: "new" | "there" | "gone" }
  /** Tokens were revoked: the log's store has something new. */
  | { readonly kind: "revoked" };

export interface SessionBus {
  /** For how long what a holder said is believed, ms; undefined: as long as holders are that may die unheard. */
  readonly leaseMs?: number;
  publish(sessionId: string, message: BusMessage): void;
  /** Returns what ends the subscription. */
  subscribe(sessionId: string, receive: (message: BusMessage) => void): () => void;
  /** To all other instances. */
  announce(message: InstanceMessage): void;
  /** Returns what ends it. */
  listen(receive: (message: InstanceMessage) => void): () => void;
}
