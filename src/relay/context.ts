import type { SessionBus } from "../durable/session-bus.ts";
import type { SessionLog } from "../durable/session-log.ts";
import type { Limits } from "../session/limits.ts";
import type { Meters } from "./metrics/meters.ts";
import type { Traces } from "./traces/traces.ts";

/** What a runtime gives. */
export interface RelayPlatform {
  readonly log: SessionLog;
  readonly bus: SessionBus;
  readonly limits: Limits;
  /** ms since the Unix epoch. */
  readonly now: () => number;
  /** A random name: short, URL-safe, without meaning. */
  readonly newId: () => string;
  /** Runs when what the present turn of the event loop has read is handled: so messages that came together go together. */
  readonly defer: (run: () => void) => void;
}

/** What the live part of the relay stands on. */
export interface RelayContext extends RelayPlatform {
  readonly meters: Meters;
  /** Undefined: nobody wants spans. */
  readonly traces: Traces | undefined;
}
