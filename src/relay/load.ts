import { fromBinary } from "@bufbuild/protobuf";
import type { LogRecord, LogState, SessionLog } from "../durable/session-log.ts";
import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { applyRecord } from "../session/apply.ts";
import type { Limits } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import { decodeSnapshot } from "../session/snapshot.ts";
import { emptyState, type SessionState } from "../session/state.ts";
import { envelopeBytes } from "./wire/envelope.ts";

const chunkBytes = 1024 * 1024;

/** @throws BatonError `LOG_DAMAGED` for what is no message, or one of another place: a fold would never come to its end */
export function decodeRecord({ seq, frame }: LogRecord): SessionMessage {
  const message = decodeFrame(frame);
  if (Number(message.seq) !== seq) throw new BatonError("LOG_DAMAGED");
  return message;
}

function decodeFrame(frame: Uint8Array): SessionMessage {
  try {
    return fromBinary(SessionMessageSchema, frame.subarray(envelopeBytes));
  } catch (cause) {
    throw new BatonError("LOG_DAMAGED", undefined, { cause });
  }
}

/**
 * The session folded up to record `upTo`, from the newest snapshot at or before `startAtMost` (default: `upTo`) that
 * is kept. An earlier start costs time and brings history, over which late edits can be mapped.
 */
export async function loadState(
  log: SessionLog,
  sessionId: string,
  kept: LogState,
  upTo: number,
  limits: Limits,
  startAtMost: number = upTo,
): Promise<SessionState> {
  const stored =
    (await log.latestSnapshot(sessionId, startAtMost)) ??
    (kept.first > 1 ? await log.latestSnapshot(sessionId, upTo) : undefined);
  if (stored === undefined && kept.first > 1) throw new BatonError("LOG_DAMAGED");
  const state = stored === undefined ? emptyState(sessionId, kept.epoch) : decodeSnapshot(sessionId, stored.bytes);
  state.epoch = kept.epoch;
  while (state.head < upTo) {
    const records = await log.read(sessionId, state.head + 1, upTo, chunkBytes);
    if (records.length === 0) throw new BatonError("LOG_UNAVAILABLE", "the log ended before its head");
    for (const record of records) {
      applyRecord(state, decodeRecord(record), record.payloadHash, limits.fileHistory);
    }
  }
  return state;
}
