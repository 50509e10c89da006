import { Join_History as History, Welcome_Outcome as Outcome } from "../gen/codereview/v1/codereview_pb.ts";
import type { SessionState } from "./state.ts";

/** What a join asks for. */
export interface JoinRequest {
  readonly history: History;
  /** Counts only with `resume`. */
  readonly lastSeq: number;
  /** What its resume token says, checked; undefined = it brought none. */
  readonly resume: { readonly epoch: string; readonly head: number } | undefined;
}

export type JoinPlan =
  | {
      readonly kind: "welcome";
      readonly outcome: Outcome;
      /** Whether the session's state at the head is sent first. */
      readonly snapshot: boolean;
      /** The first seq that is sent after it. */
      readonly fromSeq: number;
      /** The snapshot that stands in for the records that were trimmed (`History.FULL` after a trim); 0 = none. */
      readonly storedSnapshotSeq: number;
    }
  /** The token vouches for a head that the log does not reach: its tail was lost, and a new epoch has to begin. */
  | { readonly kind: "tail-lost" };

/**
 * Where a join starts to read. `first` is the first seq that the log keeps. Whatever cannot be replayed becomes a
 * snapshot; a hole is never skipped in silence.
 */
export function planJoin(state: SessionState, first: number, request: JoinRequest): JoinPlan {
  const { resume, lastSeq } = request;
  if (resume === undefined) return planNew(state, first, request.history);
  if (resume.epoch !== state.epoch) return fromSnapshot(state, Outcome.RESYNCED);
  if (resume.head > state.head) return { kind: "tail-lost" };
  if (lastSeq > state.head || lastSeq < first - 1) return fromSnapshot(state, Outcome.RESYNCED);
  return { kind: "welcome", outcome: Outcome.RESUMED, snapshot: false, fromSeq: lastSeq + 1, storedSnapshotSeq: 0 };
}

function planNew(state: SessionState, first: number, history: History): JoinPlan {
  switch (history) {
    case History.LIVE:
      return {
        kind: "welcome",
        outcome: Outcome.NEW,
        snapshot: false,
        fromSeq: state.head + 1,
        storedSnapshotSeq: 0,
      };
    case History.SNAPSHOT:
      return fromSnapshot(state, Outcome.NEW);
    case History.FULL:
      return full(first);
    default:
      return state.hasDocument || state.head === 0 ? fromSnapshot(state, Outcome.NEW) : full(first);
  }
}

function full(first: number): JoinPlan {
  return {
    kind: "welcome",
    outcome: Outcome.NEW,
    snapshot: false,
    fromSeq: first,
    storedSnapshotSeq: first > 1 ? first - 1 : 0,
  };
}

function fromSnapshot(state: SessionState, outcome: Outcome): JoinPlan {
  return { kind: "welcome", outcome, snapshot: true, fromSeq: state.head + 1, storedSnapshotSeq: 0 };
}
