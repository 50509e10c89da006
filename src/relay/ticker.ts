import { getLogger } from "@logtape/logtape";
import { GoAway_Reason as GoAwayReason, TokenStatus_State as TokenState } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { endRevoked } from "./end-streams.ts";
import type { Participant } from "./participant.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";
import { tokenStatus } from "./rotate.ts";

const logger = getLogger(["baton", "relay"]);

/** How exact the relay's times are. */
export const tickMs = 200;

/** A missed answer, and the time that it may take. */
const silenceSlackMs = 8_000;
/** Heartbeats of a split client come every fourth of these: it pays a call for each. */
const splitSilenceFactor = 10;
/** What a client has to come back after it was told that its stream is old. */
const ageGraceMs = 5_000;

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
  relay.rooms.sweep(nowMs);
  relay.users.sweep(nowMs);
}

function tickRoom(relay: Relay, room: Room, nowMs: number): void {
  room.expire(nowMs);
  for (const participant of [...room.participants.values()]) {
    const ends = endOf(relay, participant, nowMs);
    if (ends !== undefined) room.end(participant, new BatonError(ends));
    else remind(relay, participant, nowMs);
  }
  room.presence.count(room.count(({ mayWrite }) => !mayWrite));
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

function endOf({ limits }: Relay, participant: Participant, nowMs: number) {
  const { reader, carriage, dialect } = participant;
  if (participant.endsAtMs !== undefined && nowMs >= participant.endsAtMs) return "MAX_STREAM_AGE";
  const { blockedSinceMs } = reader;
  if (blockedSinceMs !== undefined) return nowMs - blockedSinceMs >= limits.slowReaderMs ? "SLOW_CONSUMER" : undefined;
  // It has no answer to a heartbeat: whether it lives, its transport has to say.
  if (dialect === "original") return undefined;
  const { heartbeatMs } = limits;
  const silentMs = carriage === "bidi" ? heartbeatMs + silenceSlackMs : heartbeatMs * splitSilenceFactor;
  return participant.silentMs(nowMs) >= silentMs ? "CLIENT_SILENT" : undefined;
}

function remind({ limits }: Relay, participant: Participant, nowMs: number): void {
  const { reader, principal } = participant;
  if (reader.blockedSinceMs === undefined && nowMs - participant.lastBeatMs >= limits.heartbeatMs) {
    participant.lastBeatMs = nowMs;
    const value = { sentAt: BigInt(nowMs), receivedBytes: BigInt(participant.receivedBytes) };
    reader.tell({ case: "heartbeat", value });
  }
  if (!participant.toldExpiring && nowMs >= participant.tokenTimes.expiringAtMs) {
    participant.toldExpiring = true;
    reader.tell({ case: "tokenStatus", value: tokenStatus(TokenState.EXPIRING, principal) });
  }
  if (participant.endsAtMs === undefined && nowMs - participant.joinedAtMs >= limits.streamAgeMs) {
    participant.endsAtMs = nowMs + ageGraceMs;
    reader.tell({ case: "goAway", value: { reason: GoAwayReason.MAX_STREAM_AGE } });
  }
}
