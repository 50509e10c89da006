import type { ChangeSet, Text } from "@codemirror/state";
import type { Fault, GoAway, SessionMessage, TokenStatus, Welcome } from "../../gen/codereview/v1/codereview_pb.ts";
import type { LoggedPayload } from "../admit.ts";

/** How the next join goes: for the first time, on from the last seq, or over from a snapshot. */
export type JoinMode = "new" | "resume" | "resync";

/** What to do now that a stream is of no more use. It is closed first, where it still lives. */
export type NextStep =
  | {
      readonly kind: "reconnect";
      readonly mode: JoinMode;
      /** What the relay asked for; 0 = it said nothing, and the caller's own backoff counts. */
      readonly afterMs: number;
      /** Only with a new token. */
      readonly reauthenticate: boolean;
    }
  /**
   * Another stream goes on under this client's id. Call `renew` with a fresh one; of what was sent and not acked only
   * the log from `fromSeq` on can tell whether it arrived, so that is to be read (`ReadLog`) and handed in, if it can be.
   */
  | { readonly kind: "renew-client"; readonly fromSeq: number }
  | { readonly kind: "stop"; readonly fault: Fault | undefined };

/** What an application is told. Changes are of the displayed text: own typing is in it already and is not told. */
export type ClientEvent =
  | { readonly kind: "welcome"; readonly welcome: Welcome }
  /** Up to date with the log: what is done here goes out at once. */
  | { readonly kind: "live" }
  /** `exists`: afterwards. */
  | { readonly kind: "text"; readonly path: string; readonly changes: ChangeSet; readonly exists: boolean }
  /** Its file is gone, or another's: what was displayed there, with work that nobody else has seen. */
  | { readonly kind: "lost-file"; readonly path: string; readonly text: Text }
  /** It came, changed, moved to another place, or went. */
  | { readonly kind: "comment"; readonly id: string }
  /** All comments were replaced. */
  | { readonly kind: "comments-reset" }
  | { readonly kind: "custom"; readonly message: SessionMessage }
  | { readonly kind: "roster" }
  | { readonly kind: "acked"; readonly payload: LoggedPayload; readonly clientSeq: number; readonly seq: number }
  /** It will not be logged, and what it did here is undone. */
  | {
      readonly kind: "refused";
      readonly reason: string;
      readonly message: string;
      readonly payload: LoggedPayload;
    }
  /** It was sent, and whether it was logged cannot be known: it is not sent again, since nothing may be there twice. */
  | { readonly kind: "uncertain"; readonly payload: LoggedPayload }
  | { readonly kind: "token-status"; readonly status: TokenStatus }
  | { readonly kind: "go-away"; readonly goAway: GoAway }
  /** A refusal that is about no message of the queue. */
  | { readonly kind: "fault"; readonly fault: Fault }
  /** The relay broke the contract; nothing of the message was applied. */
  | { readonly kind: "protocol-error"; readonly message: string };

export type ClientEffect =
  | { readonly kind: "send"; readonly message: SessionMessage }
  /** Call `retry` after this time. */
  | { readonly kind: "retry-after"; readonly afterMs: number }
  | { readonly kind: "next"; readonly step: NextStep }
  | { readonly kind: "tell"; readonly event: ClientEvent };

/** Effects as they gather during one call. */
export class EffectList {
  #effects: ClientEffect[] = [];

  send(message: SessionMessage): void {
    this.#effects.push({ kind: "send", message });
  }

  retryAfter(afterMs: number): void {
    this.#effects.push({ kind: "retry-after", afterMs });
  }

  next(step: NextStep): void {
    this.#effects.push({ kind: "next", step });
  }

  tell(event: ClientEvent): void {
    this.#effects.push({ kind: "tell", event });
  }

  take(): readonly ClientEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
