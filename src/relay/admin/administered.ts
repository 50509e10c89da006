import type { Relay } from "../relay.ts";
import type { LiveSessions } from "./live-sessions.ts";

/** What an operator's calls stand on. */
export interface Administered extends Pick<Relay, "tokens" | "now" | "log" | "revocations"> {
  readonly live: LiveSessions;
}
