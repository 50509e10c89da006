import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../session/reasons.ts";

/** All that a token can grant. A closed list; what each allows is said by `requiredScope` and at its uses. */
export const scopes = ["session:read", "session:edit", "session:comment", "session:custom", "session:admin"] as const;

export type Scope = (typeof scopes)[number];

const known: ReadonlyMap<string, Scope> = new Map(scopes.map((scope) => [scope, scope]));

export function isScope(word: string): word is Scope {
  return known.has(word);
}

/**
 * Reads a `scope` claim: words separated by spaces (RFC 6749 section 3.3). An unknown word is ignored, because a token
 * may be meant for other services too. Each known scope implies `session:read`.
 */
export function parseScopes(claim: string): ReadonlySet<Scope> {
  const granted = new Set(claim.split(" ").filter(isScope));
  if (granted.size > 0) granted.add("session:read");
  return granted;
}

/** Whether a participant with these scopes counts as one who may write: shown to the others, and claimed in the log. */
export function mayWrite(granted: ReadonlySet<Scope>): boolean {
  return scopes.some((scope) => scope !== "session:read" && granted.has(scope));
}

/**
 * The scope that a client needs to send this payload. Undefined: no scope allows it, because only the relay sends it
 * or because the payload is missing or unknown. A `custom` message needs its scope whether it is logged or ephemeral.
 */
export function requiredScope(payloadCase: SessionMessage["payload"]["case"]): Scope | undefined {
  switch (payloadCase) {
    case "edit":
      return "session:edit";
    case "comment":
      return "session:comment";
    case "custom":
      return "session:custom";
    case "join":
    case "cursor":
    case "presence":
    case "heartbeat":
    case "tokenRotation":
      return "session:read";
    case "ack":
    case "welcome":
    case "tokenStatus":
    case "snapshot":
    case "fault":
    case "goAway":
    case undefined:
      return undefined;
    default:
      return assertNever(payloadCase);
  }
}
