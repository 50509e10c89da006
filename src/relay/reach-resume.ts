import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { JoinPlan } from "../session/resume.ts";
import { lastClientSeq, type SessionState } from "../session/state.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";

/**
 * Brings a room to where a client that resumes has been, if the log has come there: it may come from an instance that was
 * ahead of this one. Whatever is still missing then, the log does not have.
 */
export async function reachResume(
  { log }: Pick<Relay, "log">,
  { pipeline, sessionId, state }: Room,
  lastSeq: number,
  resume: { readonly epoch: string; readonly head: number },
): Promise<void> {
  const head = Math.max(resume.head, lastSeq);
  if (resume.epoch !== state.epoch || head <= state.head) return;
  const kept = await log.describe(sessionId);
  if (kept?.epoch === state.epoch) await pipeline.catchUp(Math.min(kept.head, head));
}

/**
 * Brings a room to where a client has been that says something by a call: what it stands on may have gone by another
 * instance, of which this one has not heard. Where the room has all that it names, the log is not asked.
 */
export async function reachCall(
  { log }: Pick<Relay, "log">,
  { pipeline, sessionId, state }: Room,
  key: string,
  messages: readonly SessionMessage[],
): Promise<void> {
  if (!isAhead(state, key, messages)) return;
  const kept = await log.describe(sessionId);
  if (kept?.epoch === state.epoch) await pipeline.catchUp(kept.head);
}

function isAhead(state: SessionState, key: string, messages: readonly SessionMessage[]): boolean {
  let next = lastClientSeq(state, key) + 1;
  return messages.some(({ clientSeq, payload }) => {
    switch (payload.case) {
      case "edit":
      case "comment": {
        const { filePath, version } = payload.value;
        const file = state.files.get(filePath);
        const isUnknown = payload.case === "comment" && filePath !== "" && file === undefined;
        return Number(clientSeq) > next++ || version > (file?.version ?? 0) || isUnknown;
      }
      case "custom":
        return !payload.value.ephemeral && Number(clientSeq) > next++;
      default:
        return false;
    }
  });
}

/** Of a join that reads from the log: another instance may have trimmed it, and what the bus said of it may be lost. */
export async function learnFirst({ log }: Pick<Relay, "log">, room: Room, plan: JoinPlan): Promise<void> {
  if (plan.kind === "tail-lost" || plan.fromSeq > room.state.head) return;
  if (plan.storedSnapshotSeq === 0 && room.ring.indexAfter(plan.fromSeq - 1) !== undefined) return;
  const kept = await log.describe(room.sessionId);
  if (kept?.epoch === room.state.epoch) room.learnFirst(kept.first);
}
