import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { createRelayClient } from "./relay-transport.ts";

const patienceMs = 30_000;
/** More would be held in memory at once than a session has any use for. */
const maxRecords = 100_000;

/** The records of a session from a seq on, up to its head. */
export async function readTail(
  url: string,
  { session, fromSeq, token }: { readonly session: string; readonly fromSeq: number; readonly token: string },
): Promise<readonly SessionMessage[]> {
  const options = { headers: { authorization: `Bearer ${token}` }, timeoutMs: patienceMs };
  const request = { sessionId: session, fromSeq: BigInt(fromSeq) };
  const records: SessionMessage[] = [];
  for await (const record of createRelayClient(url).readLog(request, options)) {
    records.push(record);
    if (records.length > maxRecords) throw new RangeError("the tail of the log is too long to be read at once");
  }
  return records;
}
