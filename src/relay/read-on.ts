import type { LogRecord, SessionLog } from "../durable/session-log.ts";
import { BatonError } from "../session/reasons.ts";

/** What stands in the log behind a state. */
export type ReadOn =
  /** What others wrote, without a gap. `isAll`: the log had no more. */
  | { readonly kind: "records"; readonly records: readonly LogRecord[]; readonly isAll: boolean }
  /** The copy that answered has not come to the state yet; the log has. */
  | { readonly kind: "stale" }
  /** The first of it is trimmed: whoever wants to go on starts from a snapshot. */
  | { readonly kind: "trimmed" }
  /** The session is gone, or goes on under another epoch. */
  | { readonly kind: "epoch" }
  /** The log ends before the state does, or holds another record in the state's last place. */
  | { readonly kind: "tail-lost" };

/** The last place of a state. */
export interface Place {
  readonly sessionId: string;
  readonly epoch: string;
  readonly head: number;
  /** Of the record at the head; undefined: not known. */
  readonly headFrame: Uint8Array | undefined;
}

/** Of one read. Where less than half of it came, nothing larger was held back: a record is far smaller. */
const readBytes = 1024 * 1024;

/**
 * Reads what others put behind a state, and with it, in the same read, the record that the state ends with: only if that
 * is still what it was, is the rest its continuation. A store that lost its tail may have been written to since, up to
 * any seq.
 */
export async function readOn(log: SessionLog, place: Place): Promise<ReadOn> {
  const { head, headFrame } = place;
  if (head === 0) return await readBehind(log, place);
  const maxBytes = readBytes + (headFrame?.length ?? 0);
  const found = await readFrom(log, place, head, maxBytes);
  if (found === "trimmed") return await readBehind(log, place);
  if (found === "epoch") return { kind: "epoch" };
  const [last, ...records] = found;
  if (last === undefined) return await judgeShort(log, place);
  if (headFrame !== undefined && !isSame(last.frame, headFrame)) return { kind: "tail-lost" };
  return { kind: "records", records, isAll: bytesOf(found) < maxBytes / 2 };
}

async function readBehind(log: SessionLog, place: Place): Promise<ReadOn> {
  const records = await readFrom(log, place, place.head + 1, readBytes);
  if (records === "trimmed" || records === "epoch") return { kind: records };
  return { kind: "records", records, isAll: bytesOf(records) < readBytes / 2 };
}

/** The read ended before the state does. Whether the log does, the log itself has to say. */
async function judgeShort(log: SessionLog, { sessionId, epoch, head }: Place): Promise<ReadOn> {
  const kept = await log.describe(sessionId);
  if (kept?.epoch !== epoch) return { kind: "epoch" };
  return { kind: kept.head >= head ? "stale" : "tail-lost" };
}

async function readFrom(
  log: SessionLog,
  { sessionId, epoch }: Place,
  from: number,
  maxBytes: number,
): Promise<readonly LogRecord[] | "trimmed" | "epoch"> {
  try {
    return await log.read(sessionId, from, Number.MAX_SAFE_INTEGER, maxBytes, epoch);
  } catch (error) {
    if (error instanceof BatonError && error.reason === "SEQ_OUT_OF_RANGE") return "trimmed";
    if (error instanceof BatonError && error.reason === "EPOCH_CHANGED") return "epoch";
    throw error;
  }
}

const bytesOf = (records: readonly LogRecord[]) => records.reduce((sum, { frame }) => sum + frame.length, 0);

const isSame = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((byte, index) => byte === b[index]);
