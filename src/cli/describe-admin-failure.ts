import type { CarriageEnd } from "../client/carriage.ts";
import { type Attempted, describeStop, endLine } from "./describe-stop.ts";
import { ownName } from "./own-name.ts";

/** Why an operator's call was refused, and what to do about it. */
export function describeAdminFailure(end: CarriageEnd, attempted: Attempted): string {
  const { reason, message } = endLine(end);
  if (reason === "SCOPE_MISSING" || reason === "SESSION_FORBIDDEN") {
    const session = attempted.session === "" ? "*" : attempted.session;
    const command = `${ownName} token --sub <you> --session '${session}' --scope session:admin`;
    return `the relay said: ${message} (${reason}); an operator's token: ${command}`;
  }
  return describeStop({ end, everJoined: false }, attempted);
}
