import { BatonError } from "../session/reasons.ts";
import { gather, gatheredBytes } from "./gather.ts";
import type { ReaderFrames } from "./reader-frames.ts";
import type { ReaderSource } from "./reader-source.ts";

export interface LogPiece {
  readonly bytes: Uint8Array;
  /** The record behind the last of them. */
  readonly nextSeq: number;
}

/** What a reader is told of the records from `nextSeq` on, about as much as one write takes. Rejects where it cannot go on. */
export async function readFromLog(source: ReaderSource, frames: ReaderFrames, nextSeq: number): Promise<LogPiece> {
  const records = await source.readLog(nextSeq, gatheredBytes).catch((error: unknown) => {
    const isTrimmed = error instanceof BatonError && error.reason === "SEQ_OUT_OF_RANGE";
    // So far behind that the log no longer reaches back: a new stream is resynced.
    throw isTrimmed ? new BatonError("SLOW_CONSUMER") : error;
  });
  // The head is ahead of what the log gives: only a store that lost its tail does so.
  if (records.length === 0) throw new BatonError("LOG_UNAVAILABLE");
  const { bytes, count } = gather(records, (record) => frames.ofRecord(record));
  return { bytes, nextSeq: nextSeq + count };
}
