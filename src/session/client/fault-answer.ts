import type { Fault } from "../../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../reasons.ts";
import type { ClientDocument } from "./document.ts";
import type { Entry, Outbox } from "./outbox.ts";
import { type FaultAction, parseAction } from "./stream-end.ts";

/** What a fault on a living stream leads to. */
export type FaultOutcome =
  /** It was about a message of the queue, and is dealt with. */
  | { readonly kind: "done" }
  /** The queue waits, and goes on after this time; 0 = the relay named none. */
  | { readonly kind: "retry"; readonly afterMs: number }
  /** Application's business: it is about no message of the queue, or asks for what only the application has. */
  | { readonly kind: "tell" }
  | { readonly kind: "leave"; readonly action: "resync" | "reconnect" | "renew-client" | "stop" };

const done: FaultOutcome = { kind: "done" };

/** Does to the queue what a fault asks for. */
export function answerFault(document: ClientDocument, fault: Fault): FaultOutcome {
  const { outbox } = document;
  const entry = fault.clientSeq > 0n ? outbox.sent(Number(fault.clientSeq)) : undefined;
  if (fault.reason === "SUPERSEDED") return { kind: "leave", action: "renew-client" };
  if (fault.reason === "CLIENT_SEQ_REUSED" && entry !== undefined) {
    // The log has something else under this number: it is a new message, once the log's own count is known.
    entry.clientSeq = 0;
    return { kind: "leave", action: "resync" };
  }
  const action: FaultAction = parseAction(fault.action);
  switch (action) {
    case "drop":
      if (entry === undefined) return { kind: "tell" };
      document.drop(entry, fault);
      return done;
    case "retry":
      if (entry === undefined) return { kind: "tell" };
      return fault.reason === "OUT_OF_ORDER" ? answerOutOfOrder(outbox, entry) : hold(outbox, entry, fault);
    case "resync":
    case "reconnect":
    case "stop":
      return { kind: "leave", action };
    case "none":
    case "reauthenticate":
      return { kind: "tell" };
    default:
      return assertNever(action);
  }
}

/** Part of the flow behind a refused message. Without one the counts differ: tried once more, then settled anew. */
function answerOutOfOrder(outbox: Outbox, entry: Entry): FaultOutcome {
  entry.strikes = outbox.isDue(entry) ? entry.strikes + 1 : 0;
  if (entry.strikes > 1) return { kind: "leave", action: "resync" };
  outbox.hold(entry);
  return done;
}

function hold(outbox: Outbox, entry: Entry, { retryAfterMs }: Fault): FaultOutcome {
  outbox.hold(entry);
  if (outbox.waiting) return done;
  outbox.wait();
  return { kind: "retry", afterMs: Number(retryAfterMs) };
}
