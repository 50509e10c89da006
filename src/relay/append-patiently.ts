import type { AppendBatch, AppendOutcome, LogRecord } from "../durable/session-log.ts";
import { BatonError } from "../session/reasons.ts";
import { pause } from "./pause.ts";

/** The first wait before the batch is tried again; then twice as long each time. */
const firstWaitMs = 50;
const longestWaitMs = 1_000;
/** How long a store that does not answer is waited for, in all: below what a client bears in silence. */
export const patienceMs = 5_000;

export type PatientOutcome =
  | AppendOutcome
  /** The batch was written before, and nobody was told. What others put behind it, as far as it was told. */
  | { readonly kind: "found"; readonly after: readonly LogRecord[] };

/**
 * Appends a batch, and again where the store does not answer: what became of an attempt is not known then, and the same
 * batch at the same head tells. If it was written, the head has moved on, and what stands behind the expected one is the
 * batch itself. So it is where the way to the store has doubled the only attempt.
 *
 * `LOG_FULL` says that an attempt wrote nothing, but nothing of the attempts before it: after one whose outcome is not
 * known, it is waited out like the rest.
 *
 * @param waiting told before the first wait
 * @throws BatonError `LOG_UNAVAILABLE` at the end of the patience, or when `signal` aborts: the batch may be in the log
 */
export async function appendPatiently(
  batch: AppendBatch,
  append: (batch: AppendBatch) => Promise<AppendOutcome>,
  waiting: () => void,
  signal: AbortSignal,
): Promise<PatientOutcome> {
  let waitedMs = 0;
  let isUncertain = false;
  for (let backoffMs = firstWaitMs; ; backoffMs = Math.min(2 * backoffMs, longestWaitMs)) {
    try {
      const outcome = await append(batch);
      const after = outcome.kind === "conflict" ? recordsBehind(batch, outcome.records) : undefined;
      return after === undefined ? outcome : { kind: "found", after };
    } catch (error) {
      if (!(error instanceof BatonError) || !isWorthWaiting(error, isUncertain)) throw error;
      if (!isUncertain) waiting();
      isUncertain = true;
      const waitMs = Math.max(backoffMs, error.retryAfterMs);
      if (waitedMs + waitMs > patienceMs || signal.aborted) throw unavailable(error);
      waitedMs += waitMs;
      await pause(waitMs, signal);
      if (signal.aborted) throw unavailable(error);
    }
  }
}

const isWorthWaiting = ({ reason }: BatonError, isUncertain: boolean) =>
  reason === "LOG_UNAVAILABLE" || (isUncertain && reason === "LOG_FULL");

const unavailable = (error: BatonError) =>
  error.reason === "LOG_UNAVAILABLE" ? error : new BatonError("LOG_UNAVAILABLE", undefined, { cause: error });

/** What stands behind the batch, where it begins what was found; undefined where others were there first. */
function recordsBehind({ records }: AppendBatch, found: readonly LogRecord[]): readonly LogRecord[] | undefined {
  // The answer may be cut short, but holds one record at least; a batch is written as a whole.
  const isOwn = found.length > 0 && found.every((record, index) => isSame(record, records[index]));
  return isOwn ? found.slice(records.length) : undefined;
}

/** A frame names the writer, the number and the time: two that are equal are one. */
const isSame = (found: LogRecord, own: LogRecord | undefined): boolean =>
  own === undefined ||
  (found.seq === own.seq &&
    found.frame.length === own.frame.length &&
    found.frame.every((byte, index) => byte === own.frame[index]));
