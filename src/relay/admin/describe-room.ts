import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { LogState } from "../../durable/session-log.ts";
import {
  type DescribeSessionResponse,
  DescribeSessionResponseSchema,
  type SessionInfoSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import type { SessionState } from "../../session/state.ts";
import { loadState } from "../load.ts";
import type { Relay } from "../relay.ts";
import { shownParticipants } from "../welcome.ts";

/** What the store and this instance know of a session; of its files, which there are. Undefined: the store has no such session. */
export async function describeRoom(relay: Relay, sessionId: string): Promise<DescribeSessionResponse | undefined> {
  const kept = await relay.log.describe(sessionId);
  if (kept === undefined) return undefined;
  const state = await stateOf(relay, sessionId, kept);
  const room = relay.rooms.present(sessionId);
  return create(DescribeSessionResponseSchema, {
    info: sessionInfo(sessionId, kept, room?.participants.size ?? 0),
    participants: room === undefined ? [] : [...shownParticipants(room)],
    files: [...state.files.values()]
      .filter(({ deleted }) => !deleted)
      .map(({ path, version }) => ({ filePath: path, version }))
      .sort((a, b) => (a.filePath < b.filePath ? -1 : 1)),
  });
}

/** The open room's, where it holds what the log says. */
async function stateOf({ rooms, log, limits }: Relay, sessionId: string, kept: LogState): Promise<SessionState> {
  const live = rooms.present(sessionId)?.state;
  if (live?.epoch === kept.epoch && live.head >= kept.head) return live;
  return await loadState(log, sessionId, kept, kept.head, limits);
}

export function sessionInfo(
  sessionId: string,
  { head, first, lastActivityMs, bytes }: LogState,
  participants: number,
): MessageInitShape<typeof SessionInfoSchema> {
  return {
    sessionId,
    headSeq: BigInt(head),
    firstSeq: BigInt(first),
    participants,
    lastActivity: BigInt(lastActivityMs),
    logBytes: BigInt(bytes),
  };
}
