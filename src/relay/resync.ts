import { Welcome_Outcome as Outcome } from "../gen/codereview/v1/codereview_pb.ts";
import type { Limits } from "../session/limits.ts";
import { snapshotParts } from "../session/snapshot-parts.ts";
import { lastClientSeq } from "../session/state.ts";
import type { Participant } from "./participant.ts";
import type { Resync } from "./reader-source.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";
import { createWelcome } from "./welcome.ts";

/**
 * Whether a reader is so far behind that the state serves it better than the records. It does once they are twice as
 * many bytes as the state, and as the ring: what is less is soon read, and tells more, who did what in which steps. Never
 * where a `custom` message is among them, of which no state tells. How large they are is judged by those in the ring.
 */
export function isResyncDue(
  { state, ring, first }: Pick<Room, "state" | "ring" | "first">,
  { ringBytes }: Pick<Limits, "ringBytes">,
  fromSeq: number,
): boolean {
  if (state.lastCustomSeq >= fromSeq) return false;
  const missedBytes = (state.head + 1 - fromSeq) * ring.meanBytes;
  return fromSeq < first || missedBytes > 2 * Math.max(state.units, ringBytes);
}

/** A resync of a room's participant. Undefined: it turned out to be none. */
export async function prepareResync(
  relay: Relay,
  room: Room,
  participant: Participant,
  fromSeq: number,
): Promise<Resync | undefined> {
  const { state } = room;
  const { identity, generation } = participant;
  const { epoch, head } = state;
  const resumeToken = await relay.resumeTokens.issue({ ...identity, epoch, generation, head }, relay.now());
  // From here on nothing waits: the Welcome and the snapshot tell of one moment.
  if (!isResyncDue(room, relay.limits, fromSeq)) return undefined;
  const place = { outcome: Outcome.RESYNCED, resumeToken, lastClientSeq: lastClientSeq(state, identity.key) };
  return {
    welcome: { case: "welcome", value: createWelcome(relay, room, participant, place) },
    parts: snapshotParts(state),
    nextSeq: state.head + 1,
  };
}
