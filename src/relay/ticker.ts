import { GoAway_Reason as GoAwayReason, TokenStatus_State as TokenState } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { endRevoked } from "./end-streams.ts";
import type { Participant } from "./participant.ts";
import type { Relay } from "./relay.ts";
import { tokenStatus } from "./rotate.ts";

/** How exact the relay's times are. */
export const tickMs = 200;

/** A missed answer, and the time that it may take. */
const silenceSlackMs = 8_000;
/** Heartbeats of a split client come every fourth of these: it pays a call for each. */
const splitSilenceFactor = 10;
/** What a client has to come back after it was told that its stream is old. */
const ageGraceMs = 5_000;

/** Everything that happens because time has passed. */
export function tick(relay: Relay): void {
  const nowMs = relay.now();
  if (relay.revocations.isDue(nowMs)) void followRevocations(relay);
  for (const room of relay.rooms.all) {
    room.expire(nowMs);
    for (const participant of [...room.participants.values()]) {
      const ends = endOf(relay, participant, nowMs);
      if (ends !== undefined) room.end(participant, new BatonError(ends));
      else remind(relay, participant, nowMs);
    }
    room.tell(room.roster.tick(nowMs));
    room.prune(nowMs);
  }
  relay.rooms.sweep(nowMs);
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
