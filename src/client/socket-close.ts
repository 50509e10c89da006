import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { FaultSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import type { CarriageEnd } from "./carriage.ts";

/** The relay's own codes: this and the number of a Connect code. */
const firstCode = 4_000;
const normal = 1_000;
const messageTooBig = 1_009;

/** What a close frame says alone: the relay's last message says more, where it came. */
export function endFromClose(code: number, reason: string): CarriageEnd {
  if (code === normal) return {};
  // The relay's runtime found so before the relay could: it is not to be tried again.
  if (code === messageTooBig) return endFromReason(new BatonError("MESSAGE_TOO_LARGE"));
  const connectCode = code - firstCode;
  if (Code[connectCode] !== undefined) return { code: codeToString(connectCode), message: reason };
  return { code: "unavailable", message: `the WebSocket closed with ${code}${reason === "" ? "" : `, ${reason}`}` };
}

function endFromReason({ code, reason, message, action }: BatonError): CarriageEnd {
  return { code, message, fault: create(FaultSchema, { code, reason, message, action }) };
}
