import { create } from "@bufbuild/protobuf";
import type {
  Welcome_Outcome as Outcome,
  Participant as ShownParticipant,
  Welcome,
} from "../gen/codereview/v1/codereview_pb.ts";
import { ParticipantSchema, WelcomeSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { Participant } from "./participant.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";

/** The protocol that this relay speaks; 0 on the wire counts as 1. */
export const protocol = 1;

/** Where a participant goes on from. */
export interface WelcomePlace {
  readonly outcome: Outcome;
  readonly resumeToken: string;
  /** The last of its client's numbers; with a snapshot, as of that. */
  readonly lastClientSeq: number;
}

/** What a participant is told when it comes in, or is given the session's state anew. */
export function createWelcome(
  relay: Relay,
  room: Room,
  participant: Participant,
  { outcome, resumeToken, lastClientSeq }: WelcomePlace,
): Welcome {
  const { principal, streamId, identity } = participant;
  const { limits } = relay;
  return create(WelcomeSchema, {
    epoch: room.state.epoch,
    headSeq: BigInt(room.state.head),
    resumeToken,
    lastClientSeq: BigInt(lastClientSeq),
    outcome,
    participants: [...shownParticipants(room)],
    limits: {
      maxMessageBytes: limits.messageBytes,
      maxMessagesPerSecond: limits.messagesPerSecond,
      maxUnackedBytes: limits.unackedBytes,
      heartbeatIntervalMs: limits.heartbeatMs,
      maxStreamAgeMs: limits.streamAgeMs,
    },
    tokenExpiresAt: BigInt(principal.expiresAtMs),
    scopes: [...principal.scopes],
    streamId,
    clientId: identity.clientId,
    readerCount: room.readerCount,
    protocol,
  });
}

/** Those who may write, as the others see them. */
export function shownParticipants({ roster }: Room): readonly ShownParticipant[] {
  return [...roster.entries].map(({ userId, clientId, displayName, status, cursor }) =>
    create(ParticipantSchema, { userId, clientId, displayName, status, ...(cursor === undefined ? {} : { cursor }) }),
  );
}
