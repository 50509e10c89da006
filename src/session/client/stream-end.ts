import type { Fault } from "../../gen/codereview/v1/codereview_pb.ts";
import { Fault_Action as Action } from "../../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../reasons.ts";

/** What a fault asks of a client. An action that this client does not know is read from where the fault stands. */
export type FaultAction = "none" | "drop" | "retry" | "resync" | "reauthenticate" | "reconnect" | "stop";

export function parseAction(action: Action): FaultAction {
  switch (action) {
    case Action.DROP:
      return "drop";
    case Action.RETRY:
      return "retry";
    case Action.RESYNC:
      return "resync";
    case Action.REAUTHENTICATE:
      return "reauthenticate";
    case Action.RECONNECT:
      return "reconnect";
    case Action.STOP:
      return "stop";
    default:
      return "none";
  }
}

/** How a stream ended: with a Connect error or without, which may carry a Fault. */
export interface StreamEnd {
  /** The Connect code as it is spelled on the wire; absent = the stream ended OK, or was cut. */
  readonly code?: string | undefined;
  readonly fault?: Fault | undefined;
}

/** What follows from an end. */
export type Verdict = "reconnect" | "resync" | "reauthenticate" | "renew-client" | "stop";

/** An error that no relay explained, of a proxy perhaps, is judged by its code; anything else is tried again. */
export function judgeEnd({ code, fault }: StreamEnd): Verdict {
  if (fault?.reason === "SUPERSEDED") return "renew-client";
  const action = fault === undefined ? "none" : parseAction(fault.action);
  switch (action) {
    case "none":
      if (code === "unauthenticated") return "reauthenticate";
      return code === "permission_denied" || code === "unimplemented" ? "stop" : "reconnect";
    // A refusal of the message that ended the stream: it is sent again when its time has come, and refused by itself.
    case "drop":
    case "retry":
    case "reconnect":
      return "reconnect";
    case "resync":
    case "reauthenticate":
    case "stop":
      return action;
    default:
      return assertNever(action);
  }
}
