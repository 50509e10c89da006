import type { Client } from "@connectrpc/connect";
import type { CodeReviewService, SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import { applyRecord } from "../src/session/apply.ts";
import { defaultLimits } from "../src/session/limits.ts";
import { emptyState } from "../src/session/state.ts";
import { textContent } from "../src/session/text.ts";

export async function readRecords(
  client: Client<typeof CodeReviewService>,
  sessionId: string,
  token: string,
  fromSeq = 1,
): Promise<readonly SessionMessage[]> {
  const records: SessionMessage[] = [];
  const headers = { authorization: `Bearer ${token}` };
  for await (const record of client.readLog({ sessionId, fromSeq: BigInt(fromSeq) }, { headers })) records.push(record);
  return records;
}

/** The texts that the log says, folded from its first record. */
export function foldTexts(sessionId: string, records: readonly SessionMessage[]): ReadonlyMap<string, string> {
  const state = emptyState(sessionId, "");
  for (const record of records) applyRecord(state, record, 0, defaultLimits.fileHistory);
  return new Map([...state.files.values()].map(({ path, text }) => [path, textContent(text)]));
}
