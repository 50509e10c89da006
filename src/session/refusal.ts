import type { Reason } from "./reasons.ts";
import { reasons } from "./reasons.ts";

/** Why one message is not taken. A value, since it is expected; it becomes a `Fault` on the wire. */
export interface Refusal {
  readonly kind: "refused";
  readonly reason: Reason;
  readonly message: string;
  /** 0 = at once. */
  readonly retryAfterMs: number;
}

export function refuse(reason: Reason, message: string = reasons[reason].says, retryAfterMs = 0): Refusal {
  return { kind: "refused", reason, message, retryAfterMs };
}

export function isRefusal(value: object): value is Refusal {
  return "kind" in value && value.kind === "refused";
}
