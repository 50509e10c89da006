import type { Client } from "@connectrpc/connect";
import type { CodeReviewService, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";

const patienceMs = 30_000;
/** More would be held in memory at once than a session has any use for. */
const maxRecords = 100_000;

export interface TailOptions {
  readonly session: string;
  readonly fromSeq: number;
  readonly token: string;
}

/** The records of a session from a seq on, up to its head. Rejects with a `RangeError` where they are too many. */
export async function readTail(
  client: Client<typeof CodeReviewService>,
  { session, fromSeq, token }: TailOptions,
): Promise<readonly SessionMessage[]> {
  const options = { headers: { authorization: `Bearer ${token}` }, timeoutMs: patienceMs };
  const records: SessionMessage[] = [];
  for await (const record of client.readLog({ sessionId: session, fromSeq: BigInt(fromSeq) }, options)) {
    records.push(record);
    if (records.length > maxRecords) throw new RangeError("the tail of the log is too long to be read at once");
  }
  return records;
}
