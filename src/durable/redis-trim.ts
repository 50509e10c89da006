import { BatonError } from "../session/reasons.ts";
import { unpackRecords } from "./packed-records.ts";
import { trimScript } from "./redis-scripts/snapshots.ts";
import { listOf, numberOf, type RedisSession, type RedisSessions, textOf } from "./redis-session.ts";
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
  const { session, snapshot } = await findSnapshot(sessions, sessionId, throughSeq);
  if (session?.epoch !== epoch || snapshot?.seq !== throughSeq) return;
  if (throughSeq < session.first || throughSeq > session.head) return;
  const cut = await findCut(sessions, sessionId, session, throughSeq);
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

async function findCut(
  sessions: RedisSessions,
  sessionId: string,
  session: RedisSession,
  throughSeq: number,
): Promise<Cut> {
  const key = sessions.keys.records(sessionId);
  const found = await sessions.connection.command("XREVRANGE", key, String(throughSeq), "-", "COUNT", "1");
  return sessions.examine(session, () => {
    const [id, entry] = listOf(listOf(found)[0]);
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
  });
}

function assertFound(checksum: number | undefined): number {
  if (checksum === undefined) throw new BatonError("LOG_DAMAGED");
  return checksum;
}
