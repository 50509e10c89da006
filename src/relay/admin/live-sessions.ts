import type { DescribeSessionResponse } from "../../gen/codereview/v1/codereview_pb.ts";
import type { Revocation } from "../../session/revocation.ts";
import { type Disconnected, disconnect, endRevoked } from "../end-streams.ts";
import type { Relay } from "../relay.ts";
import { describeRoom } from "./describe-room.ts";

/** Who is in sessions now, as far as an operator sees and ends them. */
export interface LiveSessions {
  /** Undefined: no store has the session. */
  describe(sessionId: string): Promise<DescribeSessionResponse | undefined>;
  /** Of each of these sessions, how many streams are open. */
  countStreams(sessionIds: readonly string[]): Promise<readonly number[]>;
  /** Whether there is such a session; readers may be in one that no store has yet. */
  isThere(sessionId: string): Promise<boolean>;
  /** Ends streams wherever they are; tells how many, of those who answered in time. */
  disconnect(meant: Disconnected): Promise<number>;
  /** Ends streams whose token in force is revoked now, and tells of how many this is known by now. */
  endRevoked(revocation: Revocation): Promise<number>;
  /** The session was deleted: whoever is in it lives in an epoch that is over. */
  endEpoch(sessionId: string, epoch: string): void;
}

/** Of an instance that holds its streams itself. */
export function liveRooms(relay: Relay): LiveSessions {
  const { rooms, log, bus, instances } = relay;
  return {
    describe: (sessionId) => describeRoom(relay, sessionId),
    async countStreams(sessionIds) {
      return sessionIds.map((sessionId) => rooms.present(sessionId)?.participants.size ?? 0);
    },
    async isThere(sessionId) {
      return rooms.present(sessionId) !== undefined || (await log.describe(sessionId)) !== undefined;
    },
    async disconnect(meant) {
      const here = disconnect(relay, meant);
      return here + (await instances.disconnect(meant));
    },
    async endRevoked() {
      const here = endRevoked(relay);
      bus.announce({ kind: "revoked" });
      return here;
    },
    endEpoch: (sessionId, epoch) => rooms.endEpoch(sessionId, epoch),
  };
}
