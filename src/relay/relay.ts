import type { ResumeTokens } from "../auth/resume-token.ts";
import type { TokenVerifier } from "../auth/verify.ts";
import type { Admission } from "./admission.ts";
import type { RelayContext } from "./context.ts";
import type { Instances } from "./instances.ts";
import type { Readings } from "./readings.ts";
import type { Retention } from "./retention.ts";
import type { RevocationFeed } from "./revocation-feed.ts";
import type { Rooms } from "./rooms.ts";
import type { Users } from "./users.ts";

/** One instance of the relay: what every call on it stands on. */
export interface Relay extends RelayContext {
  readonly tokens: TokenVerifier;
  readonly resumeTokens: ResumeTokens;
  readonly rooms: Rooms;
  readonly instances: Instances;
  readonly users: Users;
  readonly admission: Admission;
  /** Of states of the past, which nobody shares: a session's whole text each. */
  readonly folds: Admission;
  readonly readings: Readings;
  readonly revocations: RevocationFeed;
  readonly retention: Retention;
  /** For work in pieces that take long: one piece in a turn of the event loop, of all that wait. */
  readonly inTurn: RelayContext["defer"];
}
