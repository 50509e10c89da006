import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { codeFromString } from "@connectrpc/connect/protocol-connect";
import { type Fault, FaultSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError, type Reason, reasons } from "../../session/reasons.ts";

/** Takes an error that is not the relay's own, and that a client therefore sees as `INTERNAL` only. */
export type ReportError = (streamId: string, error: unknown) => void;

/** What the contract says of an error: the detail of the Connect error that ends a stream or a call. */
export function faultFrom(error: BatonError): Fault {
  return create(FaultSchema, {
    code: error.code,
    reason: error.reason,
    message: error.message,
    action: error.action,
    retryAfterMs: BigInt(error.retryAfterMs),
  });
}

/** Neither the cause nor the stack goes along. */
export function connectErrorFrom(error: BatonError): ConnectError {
  return new ConnectError(error.message, codeFromString(error.code) ?? Code.Internal, undefined, [
    { desc: FaultSchema, value: faultFrom(error) },
  ]);
}

/** The way back, for what reads this relay's errors; undefined where the error carries no fault of our list. */
export function batonErrorFrom(error: ConnectError): BatonError | undefined {
  for (const fault of error.findDetails(FaultSchema)) {
    if (isReason(fault.reason)) {
      return new BatonError(fault.reason, fault.message, { retryAfterMs: Number(fault.retryAfterMs) });
    }
  }
  return undefined;
}

/**
 * The one door for errors of others. Whatever is not the relay's own becomes `INTERNAL`, and its text is only the
 * stream id: the operator's log has the rest.
 */
export function admitError(error: unknown, streamId: string): BatonError {
  if (error instanceof BatonError) return error;
  return new BatonError("INTERNAL", `internal error; stream ${streamId}`, { cause: error });
}

const isReason = (text: string): text is Reason => Object.hasOwn(reasons, text);
