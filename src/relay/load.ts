import { fromBinary } from "@bufbuild/protobuf";
import type { LogRecord, LogState, SessionLog, StoredSnapshot } from "../durable/session-log.ts";
import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { applyRecord } from "../session/apply.ts";
import type { Limits } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import { decodeSnapshot } from "../session/snapshot.ts";
import { emptyState, type SessionState } from "../session/state.ts";
import { envelopeBytes } from "./wire/envelope.ts";

const chunkBytes = 1024 * 1024;

/**
 * Folds a stored record in. Throws `LOG_DAMAGED` where it is none, or one of another place, with which a fold would never
 * come to its end; the state is nobody's then.
 */
export function foldRecord(
  state: SessionState,
  { seq, frame, payloadHash }: LogRecord,
  historyVersions: number,
): SessionMessage {
  return readStored(() => {
    const message = fromBinary(SessionMessageSchema, frame.subarray(envelopeBytes));
    if (Number(message.seq) !== seq) throw new RangeError("a record of another place");
    applyRecord(state, message, payloadHash, historyVersions);
    return message;
  });
}

/** The state of a stored snapshot. Throws `LOG_DAMAGED` where it is none. */
export function openSnapshot(sessionId: string, { bytes }: StoredSnapshot): SessionState {
  return readStored(() => decodeSnapshot(sessionId, bytes));
}

/** What the store's checksums let through and still cannot be read was written so: by another version, or by a fault of ours. */
function readStored<T>(read: () => T): T {
  try {
    return read();
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
  const state = stored === undefined ? emptyState(sessionId, kept.epoch) : openSnapshot(sessionId, stored);
  state.epoch = kept.epoch;
  while (state.head < upTo) {
    const records = await log.read(sessionId, state.head + 1, upTo, chunkBytes);
    if (records.length === 0) throw new BatonError("LOG_UNAVAILABLE", "the log ended before its head");
    for (const record of records) foldRecord(state, record, limits.fileHistory);
  }
  return state;
}
