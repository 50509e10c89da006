import { ConnectError } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { FaultSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { StreamEnd } from "../session/client/stream-end.ts";

/** What an error of a call says about how its stream ended. */
export function endFromError(error: unknown): StreamEnd {
  const connectError = ConnectError.from(error);
  return { code: codeToString(connectError.code), fault: connectError.findDetails(FaultSchema)[0] };
}
