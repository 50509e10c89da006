import type { MessageShape } from "@bufbuild/protobuf";
import { assertMayEnter } from "../auth/principal.ts";
import type { LogState } from "../durable/session-log.ts";
import type { GetSnapshotRequestSchema, ReadLogRequestSchema, Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import { SessionMessageSchema, SnapshotSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { snapshotParts } from "../session/snapshot-parts.ts";
import type { SessionState } from "../session/state.ts";
import { tokenTimes } from "../session/token-clock.ts";
import { authenticate } from "./authenticate.ts";
import { assertNotRevoked } from "./end-streams.ts";
import { gather, gatheredBytes } from "./gather.ts";
import { assertSessionId } from "./join.ts";
import { loadState } from "./load.ts";
import type { Relay } from "./relay.ts";
import type { StreamCall, StreamHandler } from "./stream.ts";
import { encodeFrame, frameInForm } from "./wire/envelope.ts";
import { within } from "./within.ts";

/** `ReadLog`: a range of the log, as it was sent. */
export function readLog(relay: Relay): StreamHandler<typeof ReadLogRequestSchema> {
  return async (call) => {
    const { request, kept, write, assertSameEpoch } = await openReading(relay, call);
    const from = request.fromSeq === 0n ? kept.first : Number(request.fromSeq);
    const to = request.toSeq === 0n ? kept.head : Math.min(Number(request.toSeq), kept.head);
    if (from < kept.first || from > kept.head + 1) {
      throw new BatonError("SEQ_OUT_OF_RANGE", `the log keeps ${kept.first} to ${kept.head}`);
    }
    const { outlet, signal } = call;
    for (let next = from; next <= to && !signal.aborted; ) {
      const records = await relay.log.read(request.sessionId, next, to, gatheredBytes);
      await assertSameEpoch();
      if (records.length === 0) throw new BatonError("LOG_UNAVAILABLE");
      const { bytes, count } = gather(records, ({ frame }) => frameInForm(SessionMessageSchema, frame, outlet.form));
      next += count;
      relay.meters.send("record", count, bytes.length);
      await write(bytes);
    }
    outlet.end();
  };
}

/** `GetSnapshot`: the session folded up to a record, in parts. */
export function getSnapshot(relay: Relay): StreamHandler<typeof GetSnapshotRequestSchema> {
  return async (call) => {
    const { request, kept, write, assertSameEpoch } = await openReading(relay, call);
    const at = request.atSeq === 0n ? kept.head : Number(request.atSeq);
    if (at > kept.head || at < kept.first - 1) {
      throw new BatonError("SEQ_OUT_OF_RANGE", `the log keeps ${kept.first} to ${kept.head}`);
    }
    const { outlet, signal } = call;
    const tell = async (parts: Iterable<Snapshot>) => {
      await assertSameEpoch();
      for (const part of parts) {
        if (signal.aborted) break;
        const bytes = encodeFrame(SnapshotSchema, part, outlet.form);
        relay.meters.send("snapshot", 1, bytes.length);
        await write(bytes);
      }
      outlet.end();
    };
    const present = await presentState(relay, request.sessionId, kept, signal);
    if (present.head === at || request.atSeq === 0n) return await tell(snapshotParts(present));
    // A fold of its own, which is held until its reader has taken it: few at a time.
    await relay.folds.run(signal, async () => {
      await tell(snapshotParts(await loadState(relay.log, request.sessionId, kept, at, relay.limits)));
    });
  };
}

/**
 * The open room's state, which all share who ask for it, as far on as the log was. Its texts and comments never change
 * under who tells of them.
 *
 * @throws BatonError `EPOCH_CHANGED` where the room is not, or no longer, of the history that was asked for
 */
async function presentState(
  { rooms, admission }: Relay,
  sessionId: string,
  { epoch, head }: LogState,
  signal: AbortSignal,
): Promise<SessionState> {
  const room = rooms.present(sessionId) ?? (await admission.run(signal, () => rooms.open(sessionId)));
  if (room.state.epoch !== epoch) {
    // One of the two is over, and if it is the room, nobody may have told.
    room.pipeline.rang();
    throw new BatonError("EPOCH_CHANGED");
  }
  await room.pipeline.catchUp(head);
  if (room.ended !== undefined) throw room.ended;
  return room.state;
}

type ReadingSchema = typeof ReadLogRequestSchema | typeof GetSnapshotRequestSchema;

interface Reading<I extends ReadingSchema> {
  readonly request: MessageShape<I>;
  /** The session as the log keeps it. */
  readonly kept: LogState;
  /** What was read last is still of `kept`. Rejects with `EPOCH_CHANGED` where the session was deleted meanwhile. */
  assertSameEpoch(): Promise<void>;
  /** Writes when the peer has room; rejects when it may no longer read, or does not. */
  write(frames: Uint8Array): Promise<void>;
}

/** The request of whoever may read its session. A call without a token, or without a request, is not kept waiting for. */
async function openReading<I extends ReadingSchema>(relay: Relay, call: StreamCall<I>): Promise<Reading<I>> {
  const principal = await authenticate(relay, call.headers);
  const first = await within(
    relay.limits.firstMessageMs,
    call.inbound[Symbol.asyncIterator]().next(),
    "FIRST_MESSAGE_TIMEOUT",
  );
  if (first.done === true) throw new BatonError("MALFORMED", "the call takes one request");
  const request = first.value.message;
  const { sessionId, epoch } = request;
  assertSessionId(sessionId);
  assertMayEnter(principal, sessionId);
  assertNotRevoked(relay, principal);
  countReading(relay, principal.userId, call.signal);
  relay.readings.add({ sessionId, principal, end: (error) => call.outlet.end(error) }, call.signal);
  const kept = await relay.log.describe(sessionId);
  if (kept === undefined || kept.head === 0) throw new BatonError("SESSION_NOT_FOUND");
  if (epoch !== "" && epoch !== kept.epoch) throw new BatonError("EPOCH_CHANGED");
  const { endsAtMs } = tokenTimes(principal, relay.now(), relay.limits.tokenSkewMs);
  return {
    request,
    kept,
    async assertSameEpoch() {
      if ((await relay.log.describe(sessionId))?.epoch !== kept.epoch) throw new BatonError("EPOCH_CHANGED");
    },
    async write(frames) {
      if (relay.rooms.closing !== undefined) throw relay.rooms.closing;
      if (relay.now() >= endsAtMs) throw new BatonError("TOKEN_EXPIRED");
      relay.meters.writes += 1;
      const behind = call.outlet.write(frames);
      if (behind !== undefined) await within(relay.limits.slowReaderMs, behind, "SLOW_CONSUMER");
    },
  };
}

/** Until the call is over it is one of its user's streams. */
function countReading({ users, now }: Relay, userId: string, signal: AbortSignal): void {
  const user = users.of(userId, now());
  user.assertRate(now());
  user.assertStream();
  if (signal.aborted) return;
  user.began();
  signal.addEventListener("abort", () => users.of(userId, now()).ended(now()), { once: true });
}
