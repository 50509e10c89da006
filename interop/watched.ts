import { toJsonString } from "@bufbuild/protobuf";
import type { Carriage } from "../src/client/carriage.ts";
import { type SessionMessage, SessionMessageSchema } from "../src/gen/codereview/v1/codereview_pb.ts";

/** What a client was told of one place of the log: the record, or that its own is there. */
export type Seen =
  | { readonly seq: bigint; readonly record: string }
  | { readonly seq: bigint; readonly clientId: string; readonly clientSeq: bigint };

export const spell = (record: SessionMessage) => toJsonString(SessionMessageSchema, record);

/** A carriage, and what comes by it of the log, in the order in which it came. */
export function watch(carriage: Carriage, seen: Seen[]): Carriage {
  return (call) =>
    carriage({
      ...call,
      listener: {
        ...call.listener,
        received(message) {
          const { payload, clientId, seq } = message;
          if (payload.case === "ack")
            seen.push({ seq: payload.value.seq, clientId, clientSeq: payload.value.clientSeq });
          else if (seq > 0n) seen.push({ seq, record: spell(message) });
          call.listener.received(message);
        },
      },
    });
}

/** What is wrong with what was seen, beside the log. */
export function compare(seen: readonly Seen[], log: readonly SessionMessage[]): string[] {
  const faults: string[] = [];
  let last = 0n;
  for (const one of seen) {
    const record = log[Number(one.seq) - 1];
    if (one.seq <= last) faults.push(`seq ${one.seq} came behind ${last}`);
    if (last > 0n && one.seq > last + 1n) faults.push(`seq ${last + 1n} did not come`);
    last = one.seq;
    if (record === undefined) faults.push(`the log has no seq ${one.seq}`);
    else if (
      "record" in one
        ? one.record !== spell(record)
        : one.clientId !== record.clientId || one.clientSeq !== record.clientSeq
    )
      faults.push(`seq ${one.seq} is another record in the log`);
  }
  if (seen.length > 0 && last !== BigInt(log.length)) faults.push(`it saw the log up to ${last} of ${log.length}`);
  return faults;
}
