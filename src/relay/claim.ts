import type { Claim, ClientKey } from "../durable/session-log.ts";
import { BatonError } from "../session/reasons.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";

/**
 * The next claim of a client; undefined where the room does not hold the history that the store says, and ends. Where the
 * store has no such session any more and the room has records of it, the session begins anew under another epoch: the
 * room's would mean two histories.
 */
export async function claimClient(
  relay: Relay,
  room: Room,
  { userId, clientId }: ClientKey,
): Promise<Claim | undefined> {
  const { epoch, head } = room.state;
  const claim = await relay.log.claim(room.sessionId, { userId, clientId }, head === 0 ? epoch : relay.newId());
  if (claim.epoch === room.state.epoch) return claim;
  room.fail(new BatonError("EPOCH_CHANGED"));
  return undefined;
}
