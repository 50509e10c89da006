import type { AppendBatch, AppendOutcome } from "../durable/session-log.ts";
import type { Batch } from "../session/sequencer.ts";
import { clientKey } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import { reasonOf } from "./metrics/meters.ts";
import type { Origin } from "./participant.ts";
import { encodeRecord } from "./record-frames.ts";
import { failSpan } from "./traces/traces.ts";

/** A batch as the log takes it. */
export function encodeBatch({ epoch, expectedHead, records, writers }: Batch<Origin>): AppendBatch {
  const lastOf = new Map(
    records.map(({ message, logged }) => [clientKey(message.userId, message.clientId), logged.clientSeq]),
  );
  return {
    epoch,
    expectedHead,
    records: records.map(({ message, logged }) => ({
      seq: logged.seq,
      frame: encodeRecord(message),
      payloadHash: logged.payloadHash,
    })),
    writers: [...writers].map(([key, { userId, clientId, generation }]) => ({
      userId,
      clientId,
      generation,
      lastClientSeq: lastOf.get(key) ?? 0,
    })),
  };
}

/** Appends, and counts what became of it. */
export async function measureAppend(
  { log, meters, traces }: RelayContext,
  sessionId: string,
  encoded: AppendBatch,
  { records }: Batch<Origin>,
): Promise<AppendOutcome> {
  const bytes = encoded.records.reduce((sum, { frame }) => sum + frame.length, 0);
  const span = traces?.startAppend({ sessionId, records: records.length, bytes }, records);
  const startMs = performance.now();
  try {
    const outcome = await log.append(sessionId, encoded);
    meters.appends.add(outcome.kind);
    span?.setAttribute("baton.outcome", outcome.kind);
    if (outcome.kind === "appended") {
      meters.batchRecords.observe(records.length);
      meters.batchBytes.observe(bytes);
    }
    return outcome;
  } catch (error) {
    meters.appends.add(reasonOf(error) === "LOG_FULL" ? "full" : "failed");
    failSpan(span, error);
    throw error;
  } finally {
    meters.appendSeconds.observe((performance.now() - startMs) / 1000);
    span?.end();
  }
}
