import type { Principal } from "../auth/principal.ts";
import { BatonError, type Reason } from "../session/reasons.ts";
import { tokenTimes } from "../session/token-clock.ts";
import type { Relay } from "./relay.ts";

/** Somebody's stream on this instance, as an operator sees it. */
export interface LiveStream {
  readonly sessionId: string;
  /** Of the token in force. */
  readonly principal: Principal;
  /** Empty for a call that only reads the log: it is no client's. */
  readonly clientId: string;
}

/** Ends the streams for which this holds, and tells how many there were. */
export function endStreams(
  { rooms, readings }: Pick<Relay, "rooms" | "readings">,
  isMeant: (stream: LiveStream) => boolean,
  reason: Reason,
): number {
  let ended = 0;
  for (const room of rooms.all) {
    for (const participant of [...room.participants.values()]) {
      const { principal, identity } = participant;
      if (!isMeant({ sessionId: room.sessionId, principal, clientId: identity.clientId })) continue;
      room.end(participant, new BatonError(reason));
      ended += 1;
    }
  }
  for (const { sessionId, principal, end } of [...readings.all]) {
    if (!isMeant({ sessionId, principal, clientId: "" })) continue;
    end(new BatonError(reason));
    ended += 1;
  }
  return ended;
}

/** Those whose token in force is revoked by now. */
export function endRevoked(relay: Relay): number {
  return endStreams(relay, ({ principal }) => relay.revocations.known.isRevoked(principal), "TOKEN_REVOKED");
}

/** Those that read and whose token is over by now, also where their peer takes nothing. */
export function endExpiredReadings({ readings, limits }: Pick<Relay, "readings" | "limits">, nowMs: number): void {
  for (const { principal, end } of [...readings.all]) {
    if (nowMs >= tokenTimes(principal, nowMs, limits.tokenSkewMs).endsAtMs) end(new BatonError("TOKEN_EXPIRED"));
  }
}

/** Asked again where time has passed since a token was verified and before it is put in force. */
export function assertNotRevoked({ revocations }: Relay, principal: Principal): void {
  if (revocations.known.isRevoked(principal)) throw new BatonError("TOKEN_REVOKED");
}

/** Whom an operator disconnects: those that all that is given is true of; empty = any. */
export interface Disconnected {
  readonly sessionId: string;
  readonly userId: string;
  readonly clientId: string;
}

export function disconnect(relay: Relay, { sessionId, userId, clientId }: Disconnected): number {
  const isMeant = (stream: LiveStream) =>
    (sessionId === "" || stream.sessionId === sessionId) &&
    (userId === "" || stream.principal.userId === userId) &&
    (clientId === "" || stream.clientId === clientId);
  return endStreams(relay, isMeant, "DISCONNECTED");
}
