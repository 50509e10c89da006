import type { SpanContext } from "@opentelemetry/api";
import type { Principal } from "../auth/principal.ts";
import type { Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { type Dialect, Participant } from "./participant.ts";
import type { Identity } from "./payload.ts";
import { Reader } from "./reader.ts";
import type { Relay } from "./relay.ts";
import { isResyncDue, prepareResync } from "./resync.ts";
import type { Room } from "./room.ts";
import type { Outlet } from "./stream.ts";

/** Whose stream it is, and where it reads on. */
export interface Seat {
  readonly identity: Identity;
  readonly streamId: string;
  readonly carriage: Participant["carriage"];
  readonly dialect: Dialect;
  readonly protocol: Participant["protocol"];
  readonly outlet: Outlet;
  readonly principal: Principal;
  readonly generation: number;
  /** Undefined: by its generation. */
  readonly joinedAsReader?: boolean;
  /** The first of its client's numbers that it is told of by an Ack. Infinite = none. */
  readonly ackFrom: number;
  /** The state that comes before the records; undefined = none. */
  readonly snapshot: Iterator<Snapshot> | undefined;
  readonly fromSeq: number;
  /** No state takes the place of the records up to here. */
  readonly promisedSeq: number;
  /** It begins with a snapshot in place of what its client asked for. */
  readonly resynced: boolean;
  readonly trace: SpanContext | undefined;
}

/** A stream of a room, which still has to enter it. */
export function createParticipant(relay: Relay, room: Room, seat: Seat): Participant {
  const { identity, outlet, ackFrom, snapshot, fromSeq, promisedSeq } = seat;
  const { limits, now, users } = relay;
  const reader = new Reader({
    outlet,
    source: room.source(identity),
    key: identity.key,
    ackFrom,
    snapshot,
    fromSeq,
    now,
    fetchResync: (missedSeq) =>
      missedSeq > promisedSeq && isResyncDue(room, limits, missedSeq)
        ? prepareResync(relay, room, participant, missedSeq)
        : undefined,
    fail: (error) => room.end(participant, error instanceof BatonError ? error : new BatonError("INTERNAL")),
  });
  const rate = users.of(identity.userId, now()).streamRate(now());
  const participant = new Participant({ ...seat, reader, rate, limits, nowMs: now() });
  return participant;
}
