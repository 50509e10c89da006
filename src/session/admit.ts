import { toBinary } from "@bufbuild/protobuf";
import type { Custom, SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { CodeEditSchema, CommentSchema, CustomSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { putComment, putEdit, putLogged } from "./apply.ts";
import { admitComment } from "./comment.ts";
import { encodePlan, planEdit } from "./edit.ts";
import { hashBytes } from "./hash.ts";
import type { Limits } from "./limits.ts";
import { type OriginalSender, readOriginalComment, readOriginalEdit } from "./original/sender.ts";
import { assertNever } from "./reasons.ts";
import { writeCustom, writeEdit } from "./record-codec.ts";
import { isRefusal, type Refusal, refuse } from "./refusal.ts";
import { clientKey, type LoggedMessage, lastClientSeq, type SessionState } from "./state.ts";
import { isWellFormed } from "./text.ts";
import { walkTrail } from "./trail.ts";
import { WireWriter } from "./wire-writer.ts";

/** The payloads that get a place in the log. */
export type LoggedPayload = Extract<SessionMessage["payload"], { case: "edit" | "comment" | "custom" }>;

/** A message on its way into the log. */
export interface Submission {
  readonly userId: string;
  readonly clientId: string;
  /** The claim under which its stream writes. */
  readonly generation: number;
  /** Anything that is not the next number is answered for what it is. */
  readonly clientSeq: number;
  readonly payload: LoggedPayload;
  readonly payloadHash: number;
  readonly isAdmin: boolean;
  /** Of a client of the original contract, whose edits and comments say less; undefined for all others. */
  readonly original?: OriginalSender | undefined;
  /** Messages of one call: behind one that was refused, none is taken. */
  readonly call?: { broken: boolean } | undefined;
  /** Why its sender may not send it: found before, told only when the message is not a repeat. */
  readonly refusal?: Refusal | undefined;
}

export type Admission =
  /** It has the next place; the state is as after it. */
  { readonly kind: "admitted"; readonly message: SessionMessage; readonly logged: LoggedMessage } | Unplaced;

/** What becomes of a message that makes no record. */
export type Unplaced =
  /** The log has it: the Ack is said again. */
  { readonly kind: "repeated"; readonly logged: LoggedMessage } | Refusal;

/** Gives a message its place on top of `state`, or says why it has none. Only an admitted one changes the state. */
export function admit(state: SessionState, submission: Submission, nowMs: number, limits: Limits): Admission {
  const { userId, clientId, clientSeq, payloadHash } = submission;
  const repeated = findRepeat(state, submission);
  if (repeated !== undefined) return repeated;
  const last = lastClientSeq(state, clientKey(userId, clientId));
  if (clientSeq !== last + 1) return refuse("OUT_OF_ORDER", `expected client_seq ${last + 1}`);
  if (submission.refusal !== undefined) return submission.refusal;
  const placed = place(state, submission, nowMs, limits);
  if (isRefusal(placed)) return placed;
  const seq = state.head + 1;
  // Written out: protobuf-es's `create` takes five times as long.
  const message: SessionMessage = {
    $typeName: "codereview.v1.SessionMessage",
    sessionId: state.sessionId,
    timestamp: BigInt(nowMs),
    userId,
    clientId,
    clientSeq: BigInt(clientSeq),
    seq: BigInt(seq),
    payload: placed,
  };
  const version = placed.case === "edit" ? placed.value.version : 0;
  putLogged(state, message, payloadHash, version);
  return { kind: "admitted", message, logged: { clientSeq, seq, payloadHash, timestampMs: nowMs, version } };
}

/** Used by one call after another, each of which begins with `clear`. */
const hashed = new WireWriter();

/** Of a payload as its client sent it: what tells a repeat of a number from its reuse, in whatever encoding it came. */
export function hashPayload(payload: LoggedPayload): number {
  // Seeded with the payload's field number: two kinds of payload can have the same bytes.
  switch (payload.case) {
    case "edit":
      if (writeEdit(hashed.clear(), payload.value)) return hashBytes(hashed.written, 4);
      return hashBytes(toBinary(CodeEditSchema, payload.value), 4);
    case "comment":
      return hashBytes(toBinary(CommentSchema, payload.value), 5);
    case "custom":
      if (writeCustom(hashed.clear(), payload.value)) return hashBytes(hashed.written, 11);
      return hashBytes(toBinary(CustomSchema, payload.value), 11);
    default:
      return assertNever(payload);
  }
}

/** The answer to a number that the log has already; undefined for any other. */
export function findRepeat(
  state: SessionState,
  { userId, clientId, clientSeq, payloadHash }: Submission,
): Unplaced | undefined {
  const entry = state.clients.get(clientKey(userId, clientId));
  if (entry === undefined || !(clientSeq >= 1 && clientSeq <= entry.lastClientSeq)) return undefined;
  for (const logged of walkTrail(entry.recent)) {
    if (logged.clientSeq !== clientSeq) continue;
    if (logged.payloadHash === payloadHash) return { kind: "repeated", logged };
    return refuse("CLIENT_SEQ_REUSED", `client_seq ${clientSeq} was used with another content`);
  }
  return { kind: "repeated", logged: { clientSeq, seq: 0, payloadHash, timestampMs: 0, version: 0 } };
}

/** The payload as it goes into the log; the state's texts and comments are as after it. */
function place(
  state: SessionState,
  { userId, clientId, payload, isAdmin, original }: Submission,
  nowMs: number,
  limits: Limits,
): LoggedPayload | Refusal {
  switch (payload.case) {
    case "edit": {
      const author = clientKey(userId, clientId);
      const sent = original === undefined ? payload.value : readOriginalEdit(state, author, payload.value);
      const plan = planEdit(state, author, sent, limits, original?.linesShown(sent.filePath));
      if (isRefusal(plan)) return plan;
      const value = encodePlan(plan);
      putEdit(state, plan.file, plan.changes, plan.deleted, author, limits.fileHistory);
      return { case: "edit", value };
    }
    case "comment": {
      const sent = original === undefined ? payload.value : readOriginalComment(state, original, payload.value);
      const comment = admitComment(state, { userId, isAdmin }, sent, nowMs, limits);
      if (isRefusal(comment)) return comment;
      putComment(state, comment);
      return { case: "comment", value: comment };
    }
    case "custom":
      return checkCustom(payload.value) ?? payload;
    default:
      return assertNever(payload);
  }
}

const maxCustomTypeLength = 128;

/** A custom message's type is a name: it is a key where only the newest of each type is kept. */
export function checkCustom({ type }: Custom): Refusal | undefined {
  return type.length > maxCustomTypeLength || !isWellFormed(type) ? refuse("CUSTOM_INVALID") : undefined;
}
