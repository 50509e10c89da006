import { BatonError } from "../session/reasons.ts";
import { unpackRecords } from "./packed-records.ts";
import type { RedisReply } from "./redis-connection.ts";
import { findPackScript, trimScript } from "./redis-scripts/snapshots.ts";
import { listOf, numberOf, type RedisSessions, textOf } from "./redis-session.ts";
import { findSnapshot } from "./redis-snapshots.ts";

/**
 * Removes whole packs. One in which the log begins from now on stays whole until all of it may go: under one epoch a pack
 * never changes, so what is found out here about one still holds when the script runs.
 *
 * @throws BatonError `LOG_DAMAGED`
 */
export async function trimRecords(
  sessions: RedisSessions,
  sessionId: string,
  epoch: string,
  throughSeq: number,
): Promise<void> {
  const { snapshot } = await findSnapshot(sessions, sessionId, throughSeq);
  if (snapshot?.seq !== throughSeq) return;
  const { session, rest } = await sessions.run(findPackScript, sessionId, [String(throughSeq)]);
  // As it is now: another instance may have trimmed further, or the session be another one.
  if (session?.epoch !== epoch || throughSeq < session.first || throughSeq > session.head) return;
  const cut = sessions.examine(session, () => cutPack(rest[0], throughSeq));
  await sessions.run(trimScript, sessionId, [
    epoch,
    String(throughSeq),
    String(cut.checksum),
    String(cut.bytesThrough),
    String(cut.keptFrom),
  ]);
}

interface Cut {
  /** Of the last record that goes. */
  readonly checksum: number;
  /** Bytes of all frames up to it, since the session began. */
  readonly bytesThrough: number;
  /** The first seq of the pack in which the next record is. */
  readonly keptFrom: number;
}

/** @throws BatonError `LOG_DAMAGED` where it is not the pack that has `throughSeq`, or is not sound up to there */
function cutPack(found: RedisReply | undefined, throughSeq: number): Cut {
  const [id, entry] = listOf(found);
  const firstSeq = numberOf(textOf(id).split("-", 1)[0]);
  const [, start, , before, , packed] = listOf(entry);
  let bytesThrough = numberOf(before);
  let checksum: number | undefined;
  for (const record of unpackRecords(Buffer.from(textOf(packed), "base64"), firstSeq, numberOf(start))) {
    if (record.seq > throughSeq) return { checksum: assertFound(checksum), bytesThrough, keptFrom: firstSeq };
    bytesThrough += record.frame.length;
    checksum = record.seq === throughSeq ? record.checksum : undefined;
  }
  return { checksum: assertFound(checksum), bytesThrough, keptFrom: throughSeq + 1 };
}

function assertFound(checksum: number | undefined): number {
  if (checksum === undefined) throw new BatonError("LOG_DAMAGED");
  return checksum;
}
