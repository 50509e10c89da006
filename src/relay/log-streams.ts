import { assertMayEnter } from "../auth/principal.ts";
import type { LogState } from "../durable/session-log.ts";
import type { GetSnapshotRequestSchema, ReadLogRequestSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema, SnapshotSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { snapshotParts } from "../session/snapshot-parts.ts";
import { authenticate } from "./authenticate.ts";
import { assertSessionId } from "./join.ts";
import { loadState } from "./load.ts";
import { concat } from "./reader.ts";
import type { Relay } from "./relay.ts";
import type { StreamCall, StreamHandler } from "./stream.ts";
import { encodeFrame, jsonFrameFrom } from "./wire/envelope.ts";

const chunkBytes = 256 * 1024;

/** `ReadLog`: a range of the log, as it was sent. */
export function readLog(relay: Relay): StreamHandler<typeof ReadLogRequestSchema> {
  return async (call) => {
    const request = await onlyRequest(call);
    const kept = await sessionOf(relay, call.headers, request);
    const from = request.fromSeq === 0n ? kept.first : Number(request.fromSeq);
    const to = request.toSeq === 0n ? kept.head : Math.min(Number(request.toSeq), kept.head);
    if (from < kept.first || from > kept.head + 1) {
      throw new BatonError("SEQ_OUT_OF_RANGE", `the log keeps ${kept.first} to ${kept.head}`);
    }
    const { outlet, signal } = call;
    for (let next = from; next <= to && !signal.aborted; ) {
      const records = await relay.log.read(request.sessionId, next, to, chunkBytes);
      if (records.length === 0) break;
      next += records.length;
      const frames = records.map(({ frame }) =>
        outlet.form === "json" ? jsonFrameFrom(SessionMessageSchema, frame) : frame,
      );
      await outlet.write(concat(frames));
    }
    outlet.end();
  };
}

/** `GetSnapshot`: the session folded up to a record, in parts. */
export function getSnapshot(relay: Relay): StreamHandler<typeof GetSnapshotRequestSchema> {
  return async (call) => {
    const request = await onlyRequest(call);
    const kept = await sessionOf(relay, call.headers, request);
    const at = request.atSeq === 0n ? kept.head : Number(request.atSeq);
    if (at > kept.head || at < kept.first - 1) {
      throw new BatonError("SEQ_OUT_OF_RANGE", `the log keeps ${kept.first} to ${kept.head}`);
    }
    const state = await loadState(relay.log, request.sessionId, kept, at, relay.limits);
    const { outlet, signal } = call;
    for (const part of snapshotParts(state)) {
      if (signal.aborted) break;
      await outlet.write(encodeFrame(SnapshotSchema, part, outlet.form));
    }
    outlet.end();
  };
}

type LogRequestSchema = typeof ReadLogRequestSchema | typeof GetSnapshotRequestSchema;

async function onlyRequest<I extends LogRequestSchema>(call: StreamCall<I>) {
  for await (const { message } of call.inbound) return message;
  throw new BatonError("MALFORMED", "the call takes one request");
}

/** The session as the log keeps it, for whoever may read it. */
async function sessionOf(
  relay: Relay,
  headers: Headers,
  { sessionId, epoch }: { readonly sessionId: string; readonly epoch: string },
): Promise<LogState> {
  const principal = await authenticate(relay, headers);
  assertSessionId(sessionId);
  assertMayEnter(principal, sessionId);
  const kept = await relay.log.describe(sessionId);
  if (kept === undefined || kept.head === 0) throw new BatonError("SESSION_NOT_FOUND");
  if (epoch !== "" && epoch !== kept.epoch) throw new BatonError("EPOCH_CHANGED");
  return kept;
}
