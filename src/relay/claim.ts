import type { Claim, ClientKey } from "../durable/session-log.ts";
import { BatonError } from "../session/reasons.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";

/**
 * The next claim of a client; undefined where the room does not hold the history that the store says, and ends. Where the
 * store had the session and has it no more, it begins anew under another epoch: the room's would mean two histories,
 * also where the room has seen no record of the first.
 */
export async function claimClient(
  relay: Relay,
  room: Room,
  { userId, clientId }: ClientKey,
): Promise<Claim | undefined> {
  const { epoch, head } = room.state;
  const { pipeline } = room;
  const claim = await relay.log.claim(room.sessionId, { userId, clientId }, pipeline.isKept ? relay.newId() : epoch);
  if (claim.epoch !== room.state.epoch) {
    room.fail(new BatonError("EPOCH_CHANGED"));
    return undefined;
  }
  pipeline.isKept = true;
  if (claim.head >= head) return claim;
  await room.loseTail();
  return undefined;
}
