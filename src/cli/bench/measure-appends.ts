import type { SessionLog } from "../../durable/session-log.ts";

const frame = new Uint8Array(100).fill(7);
export const appendSessions = 100;

/** Records a second: sessions with one client each, that appends as fast as it is answered. */
export async function measureAppends(
  log: SessionLog,
  { appends, recordsPerAppend }: { readonly appends: number; readonly recordsPerAppend: number },
): Promise<number> {
  const sessions = await Promise.all(
    Array.from({ length: appendSessions }, async (_, index) => {
      const key = { userId: `user-${index}`, clientId: "laptop" };
      const id = `team/session-${index}`;
      return { id, key, claim: await log.claim(id, key, "epoch") };
    }),
  );
  const startMs = performance.now();
  await Promise.all(
    sessions.map(async ({ id, key, claim }) => {
      for (let head = claim.head; head < claim.head + appends * recordsPerAppend; head += recordsPerAppend) {
        const records = Array.from({ length: recordsPerAppend }, (_, index) => ({
          seq: head + 1 + index,
          frame,
          payloadHash: head + index,
        }));
        const writers = [{ ...key, generation: claim.generation, lastClientSeq: head + recordsPerAppend }];
        const outcome = await log.append(id, { epoch: claim.epoch, expectedHead: head, records, writers });
        if (outcome.kind !== "appended") throw new Error(`append: ${outcome.kind}`);
      }
    }),
  );
  return ((appendSessions * appends * recordsPerAppend) / (performance.now() - startMs)) * 1000;
}
