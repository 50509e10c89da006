import type { Principal } from "../auth/principal.ts";
import { GoAway_Reason as GoAwayReason, TokenStatus_State as TokenState } from "../gen/codereview/v1/codereview_pb.ts";
import type { Limits } from "../session/limits.ts";
import type { Reason } from "../session/reasons.ts";
import type { TokenTimes } from "../session/token-clock.ts";
import type { Dialect, Participant } from "./participant.ts";
import type { RelayPayload } from "./payload.ts";
import { tokenStatus } from "./rotate.ts";

/** A client's stream, as far as something happens to it because time has passed. Times are ms since the Unix epoch. */
export interface TimedStream {
  readonly carriage: Participant["carriage"];
  readonly dialect: Dialect;
  readonly principal: Principal;
  readonly tokenTimes: TokenTimes;
  readonly joinedAtMs: number;
  readonly receivedBytes: number;
  readonly reader: {
    /** Since when it takes nothing; undefined = it keeps up. */
    readonly blockedSinceMs: number | undefined;
    tell(payload: RelayPayload): void;
  };
  endsAtMs: number | undefined;
  lastBeatMs: number;
  toldExpiring: boolean;
  silentMs(nowMs: number): number;
}

/** A missed answer, and the time that it may take. */
const silenceSlackMs = 8_000;
/** Heartbeats of a split client come every fourth of these: it pays a call for each. */
const splitSilenceFactor = 10;
/** What a client has to come back after it was told that its stream is old. */
const ageGraceMs = 5_000;

/** Why the stream ends now; undefined: it goes on. */
export function endOf(limits: Limits, stream: TimedStream, nowMs: number): Reason | undefined {
  const { reader, carriage, dialect } = stream;
  if (stream.endsAtMs !== undefined && nowMs >= stream.endsAtMs) return "MAX_STREAM_AGE";
  const { blockedSinceMs } = reader;
  if (blockedSinceMs !== undefined) return nowMs - blockedSinceMs >= limits.slowReaderMs ? "SLOW_CONSUMER" : undefined;
  // It has no answer to a heartbeat: whether it lives, its transport has to say.
  if (dialect === "original") return undefined;
  const { heartbeatMs } = limits;
  const silentMs = carriage === "bidi" ? heartbeatMs + silenceSlackMs : heartbeatMs * splitSilenceFactor;
  return stream.silentMs(nowMs) >= silentMs ? "CLIENT_SILENT" : undefined;
}

/** Tells it what is due: that we live, that its token is about to end, that it is old. */
export function remind(limits: Limits, stream: TimedStream, nowMs: number): void {
  const { reader, principal } = stream;
  if (reader.blockedSinceMs === undefined && nowMs - stream.lastBeatMs >= limits.heartbeatMs) {
    stream.lastBeatMs = nowMs;
    const value = { sentAt: BigInt(nowMs), receivedBytes: BigInt(stream.receivedBytes) };
    reader.tell({ case: "heartbeat", value });
  }
  if (!stream.toldExpiring && nowMs >= stream.tokenTimes.expiringAtMs) {
    stream.toldExpiring = true;
    reader.tell({ case: "tokenStatus", value: tokenStatus(TokenState.EXPIRING, principal) });
  }
  if (stream.endsAtMs === undefined && nowMs - stream.joinedAtMs >= limits.streamAgeMs) {
    stream.endsAtMs = nowMs + ageGraceMs;
    reader.tell({ case: "goAway", value: { reason: GoAwayReason.MAX_STREAM_AGE } });
  }
}
