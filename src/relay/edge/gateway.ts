import type { Revocation } from "../../session/revocation.ts";
import type { Disconnected } from "../end-streams.ts";
import type { Relay } from "../relay.ts";
import type { Subscribers } from "./subscribers.ts";

/** A gateway's end of the link of one stream to its session's object. */
export interface Link {
  send(message: Uint8Array<ArrayBuffer>): void;
  /** Any number of times. */
  close(): void;
}

/** Whom a link tells what comes, one after the other. */
export interface LinkListener {
  message(bytes: Uint8Array): void;
  /** The link is gone, by whoever; nothing comes behind it. */
  closed(): void;
}

/** The sessions' objects, as a gateway reaches them. Each may reject with `LOG_UNAVAILABLE`. */
export interface SessionObjects {
  /** To the session's own object, or to a replica of it by its name (`tree/replica-name.ts`). */
  open(object: string, listener: LinkListener): Promise<Link>;
  /** Where the request came in that is being served, as the platform names it; empty: not known. */
  region(): string;
  /** Hands a `Publish` on (`hop-publish.ts`), and brings its encoded response. Rejects with what refused it. */
  publish(sessionId: string, call: Uint8Array): Promise<Uint8Array>;
  /** An encoded `DescribeSessionResponse`; undefined: there is no such session. */
  describe(sessionId: string): Promise<Uint8Array | undefined>;
  /** Sessions' ids in their order, behind this one; of some the session may be gone. */
  names(after: string, limit: number): Promise<readonly string[]>;
  /** How many streams a session has. */
  countStreams(sessionId: string): Promise<number>;
  /** Ends streams of a session, and tells how many. */
  disconnect(meant: Disconnected): Promise<number>;
  /** The same of those whose token this revokes. */
  endRevoked(sessionId: string, revocation: Revocation): Promise<number>;
}

/**
 * What ends clients' streams near to them: it knows who they are, how fast they may send, and whether they live. What
 * they say to each other is a matter of their session's object.
 */
export interface Gateway
  extends Pick<Relay, "tokens" | "limits" | "now" | "newId" | "defer" | "meters" | "users" | "revocations"> {
  readonly objects: SessionObjects;
  readonly subscribers: Subscribers;
  /** Whether a WebSocket tells when its client is behind. */
  readonly socketsTell: boolean;
}
