import { getLogger } from "@logtape/logtape";
import { BatonError } from "../session/reasons.ts";
import { endExpiredReadings, endRevoked } from "./end-streams.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";
import { endOf, remind } from "./stream-times.ts";

const logger = getLogger(["baton", "relay"]);

/** How exact the relay's times are. */
export const tickMs = 200;

/** A tick that comes later than this was not late: the process stood still. */
const standstillMs = 1_000;

/** Makes the function that is called every `tickMs`: everything that happens because time has passed. Never throws. */
export function createTicker(relay: Relay): () => void {
  // Of the monotonic clock: one that is set to another time is no standstill.
  let lastMs = performance.now();
  return () => {
    const sinceMs = performance.now() - lastMs;
    lastMs += sinceMs;
    if (sinceMs > standstillMs) forgiveStandstill(relay, sinceMs);
    tick(relay);
  };
}

/** Everything that happens because time has passed, once. */
export function tick(relay: Relay): void {
  const nowMs = relay.now();
  relay.instances.tick(nowMs);
  if (relay.revocations.isDue(nowMs)) void followRevocations(relay);
  if (relay.retention.isDue(nowMs)) void relay.retention.sweep(nowMs);
  for (const room of relay.rooms.all) {
    try {
      tickRoom(relay, room, nowMs);
    } catch (error) {
      // A fault in what is done for one session is that session's alone: it ends, and starts again from its log.
      logger.error("a room failed", {
        session: room.sessionId,
        error: error instanceof Error ? error.name : "unknown",
      });
      room.fail(new BatonError("INTERNAL", undefined, { cause: error }));
    }
  }
  endExpiredReadings(relay, nowMs);
  relay.rooms.sweep(nowMs);
  relay.users.sweep(nowMs);
}

function tickRoom(relay: Relay, room: Room, nowMs: number): void {
  room.expire(nowMs);
  for (const participant of [...room.participants.values()]) {
    const ends = endOf(relay.limits, participant, nowMs);
    if (ends !== undefined) room.end(participant, new BatonError(ends));
    else remind(relay.limits, participant, nowMs);
  }
  room.presence.count(room.participants.count(({ mayWrite }) => !mayWrite));
  room.tell(room.presence.tick(nowMs));
  room.look(nowMs);
  room.prune(nowMs);
}

/**
 * Where the process stood still (it was stopped, starved, or a call took long), nobody could be heard, and nothing
 * written: that time is held against nobody. What came meanwhile is read right after the first tick.
 */
export function forgiveStandstill({ rooms }: Relay, stoodMs: number): void {
  logger.warn("the process stood still", { ms: Math.round(stoodMs) });
  for (const { participants, presence } of rooms.all) {
    for (const participant of participants.values()) participant.forgive(stoodMs);
    presence.forgive(stoodMs);
  }
}

/** Reads what was revoked elsewhere, and ends the streams that live on it. Never rejects. */
export async function followRevocations(relay: Relay): Promise<void> {
  if (await relay.revocations.poll(relay.now())) endRevoked(relay);
}
