import type { Interruption } from "../client/session-connection.ts";
import { redact } from "../runtime/redact.ts";
import type { EndLine } from "./join-event.ts";
import { ownName } from "./own-name.ts";
import { printable } from "./printable.ts";
import type { CarriageKind } from "./relay-transport.ts";

/** What was asked for, for the words in which it failed. */
export interface Attempted {
  readonly url: string;
  readonly session: string;
  /** Tokens are signed here. */
  readonly signs: boolean;
  /** Of a stream: what was asked for. */
  readonly carriage?: CarriageKind;
}

export function endLine({ code, fault, message }: Interruption["end"]): EndLine {
  return {
    code: fault?.code ?? code ?? "",
    reason: fault?.reason ?? "",
    message: toTerminal(fault?.message ?? message ?? ""),
  };
}

/** Words of others: nothing that a terminal would obey, nothing that looks like a token, no more than a paragraph. */
const toTerminal = (text: string) => printable(redact(text).slice(0, 500));

/** Whether another attempt may go well: nobody has answered as a relay yet, and where there is none, none will come. */
export function isHopeless({ end, everJoined }: Interruption): boolean {
  return !everJoined && end.fault === undefined;
}

/** Why a connection came to its end, and what to do about it. */
export function describeStop(
  { end, everJoined }: Interruption,
  { url, session, signs, carriage = "auto" }: Attempted,
): string {
  const { code, reason, message } = endLine(end);
  switch (reason) {
    case "TOKEN_INVALID":
    case "TOKEN_EXPIRED":
    case "TOKEN_REVOKED":
      return `the relay refused the token (${message}); ${
        signs
          ? "is --data-dir (BATON_DATA_DIR), or BATON_JWT_SECRET, the relay's own?"
          : "give a new one by --token, or let one be signed by --sub"
      }`;
    case "SESSION_FORBIDDEN":
      return `the token does not allow the session ${session}; take one that names it: ${ownName} token --sub <you> --session ${session}`;
    case "SESSION_NOT_FOUND":
      return `there is no session ${session} at ${url}: nothing was ever said in it, or it was deleted`;
    case "":
      break;
    default:
      return `the relay said: ${message} (${reason})`;
  }
  if (!everJoined && isUnreachable(end)) {
    const why = end.systemCode ?? (message === "" ? code : message);
    return `cannot reach a relay at ${url} (${why}); is it started (${ownName} start), and is --url right?`;
  }
  if (everJoined) return `the stream ended: ${message || code || "no token could be had"}`;
  const other = carriage === "auto" ? "" : `, and can ${carriage} come through there (--carriage auto finds what does)`;
  return `what answers at ${url} does not speak as a Baton relay (${message || code}); is --url right${other}?`;
}

function isUnreachable({ code, systemCode }: Interruption["end"]): boolean {
  return systemCode !== undefined || code === "unavailable" || code === "deadline_exceeded";
}
