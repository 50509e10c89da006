import {
  GoAway_Reason as GoAwayReason,
  Welcome_Outcome as Outcome,
  PresenceUpdate_Status as Status,
  TokenStatus_State as TokenState,
} from "../gen/codereview/v1/codereview_pb.ts";

/** For a number that only a newer relay knows. */
export const unknown = "unknown";

export const outcomes: Readonly<Record<Outcome, string>> = {
  [Outcome.OUTCOME_UNSPECIFIED]: "unknown",
  [Outcome.NEW]: "new",
  [Outcome.RESUMED]: "resumed",
  [Outcome.RESYNCED]: "resynced",
};

export const statuses: Readonly<Record<Status, string>> = {
  [Status.JOINED]: "joined",
  [Status.ACTIVE]: "active",
  [Status.IDLE]: "idle",
  [Status.LEFT]: "left",
};

export const tokenStates: Readonly<Record<TokenState, string>> = {
  [TokenState.STATE_UNSPECIFIED]: "unknown",
  [TokenState.ACCEPTED]: "accepted",
  [TokenState.EXPIRING]: "expiring",
  [TokenState.REJECTED]: "rejected",
};

export const goAwayReasons: Readonly<Record<GoAwayReason, string>> = {
  [GoAwayReason.REASON_UNSPECIFIED]: unknown,
  [GoAwayReason.DRAIN]: "DRAIN",
  [GoAwayReason.MAX_STREAM_AGE]: "MAX_STREAM_AGE",
  [GoAwayReason.SLOW_CONSUMER]: "SLOW_CONSUMER",
};
