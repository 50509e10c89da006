import { BatonError } from "../session/reasons.ts";
import { takeBytes } from "./append-rules.ts";
import { type UnpackedRecord, unpackRecords } from "./packed-records.ts";
import type { RedisReply } from "./redis-connection.ts";
import { renewEpochScript } from "./redis-scripts/maintain.ts";
import { listOf, numberOf, type RedisSession, type RedisSessions, type SeenHead, textOf } from "./redis-session.ts";
import type { LogRecord } from "./session-log.ts";

interface StoredPack {
  readonly firstSeq: number;
  readonly startChecksum: number;
  readonly bytes: Uint8Array;
}

function* packsOf(found: readonly RedisReply[]): Generator<StoredPack, void> {
  for (let i = 0; i < found.length; i += 3) {
    yield {
      firstSeq: numberOf(textOf(found[i]).split("-", 1)[0]),
      startChecksum: numberOf(found[i + 1]),
      bytes: Buffer.from(textOf(found[i + 2]), "base64"),
    };
  }
}

/** The log has another record where one was seen, under the same epoch. */
class HistoryReplaced extends Error {
  override readonly name = "HistoryReplaced";
}

export interface RecordRange {
  readonly from: number;
  /** Not beyond the head. */
  readonly to: number;
  readonly maxBytes: number;
  /** Before it was asked. */
  readonly seen: SeenHead | undefined;
}

/**
 * Records of what a script found, the first of them kept, each checked. Undefined: they do not stand on what was seen of this
 * log, since the server lost that and others wrote in its place; the epoch has ended with it.
 *
 * @throws BatonError `LOG_DAMAGED`
 */
export async function takeRecords(
  sessions: RedisSessions,
  sessionId: string,
  session: RedisSession,
  found: RedisReply | undefined,
  range: RecordRange,
): Promise<LogRecord[] | undefined> {
  try {
    const taken = sessions.examine(session, () => [
      ...takeBytes(storedRecords(listOf(found), session, range), range.maxBytes),
    ]);
    const last = taken.at(-1);
    if (last !== undefined) {
      sessions.advance(sessionId, { epoch: session.epoch, seq: last.seq, checksum: last.checksum });
    }
    return taken.map(({ seq, frame, payloadHash }) => ({ seq, frame, payloadHash }));
  } catch (error) {
    if (!(error instanceof HistoryReplaced)) throw error;
    await sessions.run(renewEpochScript, sessionId, [session.epoch, sessions.nextEpoch(sessionId)]);
    return undefined;
  }
}

/**
 * The records of a range as far as packs of them were found, each checked against the chain, and the chain against the head.
 *
 * @throws BatonError `LOG_DAMAGED` at the first record or pack that does not follow
 * @throws HistoryReplaced before any record that follows another one than was seen
 */
function* storedRecords(
  found: readonly RedisReply[],
  { head, checksum, epoch }: RedisSession,
  { from, to, seen }: RecordRange,
): Generator<UnpackedRecord, void> {
  const witness = seen?.epoch === epoch ? seen : undefined;
  const assertAsSeen = (seq: number, stored: number) => {
    if (seq === witness?.seq && stored !== witness.checksum) throw new HistoryReplaced();
  };
  let next: number | undefined;
  let previous = 0;
  for (const { firstSeq, startChecksum, bytes } of packsOf(found)) {
    const isNext = next === undefined ? firstSeq <= from : firstSeq === next && startChecksum === previous;
    if (!isNext) throw new BatonError("LOG_DAMAGED");
    assertAsSeen(firstSeq - 1, startChecksum);
    for (const record of unpackRecords(bytes, firstSeq, startChecksum)) {
      if (record.seq > to) return;
      assertAsSeen(record.seq, record.checksum);
      if (record.seq === head && record.checksum !== checksum) throw new BatonError("LOG_DAMAGED");
      previous = record.checksum;
      next = record.seq + 1;
      if (record.seq >= from) yield record;
    }
  }
  // What was left out for its size comes behind more than may be taken: so this is the end, and it has to be the head's.
  if (next === undefined || next <= to) throw new BatonError("LOG_DAMAGED");
}
