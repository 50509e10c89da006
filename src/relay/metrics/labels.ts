import { type Reason, reasons } from "../../session/reasons.ts";

/** What labels may say: closed lists, so that no client can make a series. */

const isReason = (name: string): name is Reason => Object.hasOwn(reasons, name);

export const reasonNames: readonly Reason[] = Object.keys(reasons).filter(isReason);

/** How a stream or a call ended. OK: well, or its peer was gone. */
export type End = Reason | "OK";
export const ends: readonly End[] = ["OK", ...reasonNames];

export const carriages = ["bidi", "split"] as const;
export const protocols = ["connect", "grpc-web", "grpc", "websocket"] as const;
export const accesses = ["write", "read"] as const;

/** Payloads that come up, as the contract's JSON names them; `other`: none, or one that only a relay sends. */
export const receivedPayloads = [
  "edit",
  "comment",
  "custom",
  "cursor",
  "presence",
  "heartbeat",
  "join",
  "tokenRotation",
  "other",
] as const;
export type ReceivedPayload = (typeof receivedPayloads)[number];

export function receivedPayload(name: string | undefined): ReceivedPayload {
  return receivedPayloads.find((known) => known === name) ?? "other";
}

/** What participants say to each other: it lies in a room's ring. */
export type SharedPayload = "edit" | "comment" | "custom" | "cursor" | "presence";

/**
 * What goes down: what is shared; what the relay says to one alone; `record`: a record of the log, whatever it holds, told
 * to somebody who was not there or is behind; `conflated`: the newest message of a kind in place of those that were skipped.
 */
export const sentPayloads = [
  "edit",
  "comment",
  "custom",
  "cursor",
  "presence",
  "record",
  "conflated",
  "snapshot",
  "welcome",
  "ack",
  "heartbeat",
  "tokenStatus",
  "fault",
  "goAway",
] as const;
export type SentPayload = (typeof sentPayloads)[number];

export const joinOutcomes = ["new", "resumed", "resynced"] as const;
export type JoinOutcome = (typeof joinOutcomes)[number];

/** What the relay does for a reader that does not keep up, from the least to the last. */
export const readerSteps = ["conflated", "log", "resynced", "cut"] as const;
export type ReaderStep = (typeof readerSteps)[number];

export const rotationOutcomes = ["accepted", "rejected"] as const;
export type RotationOutcome = (typeof rotationOutcomes)[number];

/** What the log said of a batch; `full` and `failed`: it rejected. */
export const appendOutcomes = ["appended", "conflict", "superseded", "epoch", "full", "failed"] as const;
export type AppendResult = (typeof appendOutcomes)[number];

export const logFiles = ["database", "wal"] as const;
export type LogFile = (typeof logFiles)[number];
