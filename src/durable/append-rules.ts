import { BatonError } from "../session/reasons.ts";
import type { AppendBatch, LogRecord } from "./session-log.ts";

/** How many bytes of frames the answer to a conflict carries, about. */
export const conflictBytes = 1024 * 1024;

/**
 * A batch that cannot be meant: no record, or seqs that do not follow `expectedHead`. That is a fault of the relay.
 *
 * @throws BatonError `INTERNAL`
 */
export function assertBatch({ records, expectedHead }: AppendBatch): void {
  if (records.length === 0) throw new BatonError("INTERNAL", "an append has at least one record");
  for (let i = 0; i < records.length; i++) {
    if (records[i]?.seq !== expectedHead + 1 + i) {
      throw new BatonError("INTERNAL", "the records of an append follow its expected head without a gap");
    }
  }
}

/** Takes records as long as their frames fit into `maxBytes`; the first one always. */
export function* takeBytes<R extends LogRecord>(records: Iterable<R>, maxBytes: number): Generator<R, void> {
  let bytes = 0;
  let taken = 0;
  for (const record of records) {
    bytes += record.frame.length;
    if (bytes > maxBytes && taken > 0) return;
    taken += 1;
    yield record;
  }
}
