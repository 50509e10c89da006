import { ConnectError } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { FaultSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { CarriageEnd } from "./carriage.ts";

/** What an error of a call says about how its stream ended. */
export function endFromError(error: unknown): CarriageEnd {
  const connectError = ConnectError.from(error);
  return {
    code: codeToString(connectError.code),
    fault: connectError.findDetails(FaultSchema)[0],
    message: connectError.rawMessage,
    systemCode: systemCodeOf(connectError),
  };
}

const maxCauses = 4;

/** Runtimes wrap the system's error, Node once, others more often. */
function systemCodeOf(error: Error): string | undefined {
  let cause: unknown = error.cause;
  for (let depth = 0; depth < maxCauses && cause instanceof Error; depth++) {
    if ("code" in cause && typeof cause.code === "string") return cause.code;
    cause = cause.cause;
  }
  return undefined;
}
