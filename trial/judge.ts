import type { SessionMessage } from "../src/gen/codereview/v1/codereview_pb.ts";
import { foldTexts } from "./log.ts";
import type { Participant } from "./participant.ts";

/**
 * What is wrong with a session's log, whole from its first record, and with what participants who are settled know of
 * it: nothing is missing or there twice, what was acked is where the Ack said, and all texts are the folded log's.
 */
export function judge(
  session: string,
  people: readonly Participant[],
  records: readonly SessionMessage[],
): readonly string[] {
  const faults: string[] = [];
  if (!records.every(({ seq }, index) => seq === BigInt(index + 1))) faults.push("the log has a gap");
  const keys = records.map(({ clientId, clientSeq }) => `${clientId} ${clientSeq}`);
  const twice = keys.length - new Set(keys).size;
  if (twice > 0) faults.push(`${twice} messages are in the log twice`);
  const places = new Map(keys.map((key, index) => [key, index + 1]));
  const folded = foldTexts(session, records);
  for (const { name, machine, acked, counts } of people) {
    for (const { clientId, clientSeq, seq } of acked) {
      const place = places.get(`${clientId} ${clientSeq}`);
      if (place === undefined || (seq !== 0 && seq !== place)) {
        faults.push(`${name}: ${clientId} ${clientSeq} was acked at ${seq}, and the log has it at ${place}`);
      }
    }
    if (machine.lastSeq !== records.length)
      faults.push(`${name} knows ${machine.lastSeq} of ${records.length} records`);
    for (const [path, text] of folded) {
      if (machine.text(path)?.toString() !== text) faults.push(`${name}'s ${path} is not the log's`);
    }
    if (counts.protocolErrors > 0) faults.push(`${name} was told what the contract does not allow`);
  }
  return faults;
}
