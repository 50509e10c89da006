import { BatonError } from "../session/reasons.ts";
import type { Principal } from "./principal.ts";
import { matchesSession } from "./session-pattern.ts";

/**
 * Whether a verified token may take the place of the one that a stream lives on. Who and where must stay; when and
 * what may change, also for the less: another `exp`, more scopes or fewer, as long as the stream may still be read.
 *
 * Throws `ROTATION_REJECTED`, saying why; the token in force then stays in force.
 */
export function checkRotation(current: Principal, next: Principal, sessionId: string): void {
  const rejected = (why: string) => new BatonError("ROTATION_REJECTED", `the new token ${why}; the one in force stays`);
  if (next.userId !== current.userId) throw rejected("is another subject's");
  if (!matchesSession(next.sessions, sessionId)) throw rejected("does not name this session");
  if (!next.scopes.has("session:read")) throw rejected("lacks the scope session:read");
}
