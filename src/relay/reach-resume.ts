import type { JoinPlan } from "../session/resume.ts";
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

/** Of a join that reads from the log: another instance may have trimmed it, and what the bus said of it may be lost. */
export async function learnFirst({ log }: Pick<Relay, "log">, room: Room, plan: JoinPlan): Promise<void> {
  if (plan.kind === "tail-lost" || plan.fromSeq > room.state.head) return;
  if (plan.storedSnapshotSeq === 0 && room.ring.indexAfter(plan.fromSeq - 1) !== undefined) return;
  const kept = await log.describe(room.sessionId);
  if (kept?.epoch === room.state.epoch) room.learnFirst(kept.first);
}
