import type { LocationHint } from "../durable/location-hint.ts";
import type { ObjectStubs } from "../durable/log-objects.ts";
import type { DirectoryObject } from "./worker-directory.ts";
import type { SessionLogObject } from "./worker-log-object.ts";

/** The objects, as `wrangler.toml` binds them. */
export interface ObjectBindings {
  readonly SESSIONS: DurableObjectNamespace<SessionLogObject>;
  readonly DIRECTORY: DurableObjectNamespace<DirectoryObject>;
}

/** The one object that all sessions share. */
const directoryName = "directory";

/**
 * Finds objects by their names: a session's is its id.
 *
 * @param hint where an object that is not there yet should be made
 */
export function objectStubs({ SESSIONS, DIRECTORY }: ObjectBindings, hint?: LocationHint): ObjectStubs {
  const options = hint === undefined ? {} : { locationHint: hint };
  return {
    session: (sessionId) => SESSIONS.getByName(sessionId, options),
    directory: () => DIRECTORY.getByName(directoryName),
  };
}
