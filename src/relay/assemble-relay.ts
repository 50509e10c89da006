import { createResumeTokens } from "../auth/resume-token.ts";
import type { TokenVerifier } from "../auth/verify.ts";
import type { SessionLog } from "../durable/session-log.ts";
import { resumeTokenTtlMs } from "../session/limits.ts";
import { Admission } from "./admission.ts";
import type { RelayPlatform } from "./context.ts";
import { hearClient } from "./hear-client.ts";
import { Instances } from "./instances.ts";
import { Meters } from "./metrics/meters.ts";
import { Readings } from "./readings.ts";
import type { Relay } from "./relay.ts";
import { Retention } from "./retention.ts";
import type { RevocationFeed } from "./revocation-feed.ts";
import { Rooms } from "./rooms.ts";
import type { Traces } from "./traces/traces.ts";
import { createTurns } from "./turns.ts";
import { Users } from "./users.ts";

export interface RelayParts {
  /** Says who calls. */
  readonly tokens: TokenVerifier;
  /** Signs resume tokens. */
  readonly resumeSecret: Uint8Array;
  readonly revocations: RevocationFeed;
  readonly traces: Traces | undefined;
  /** Undefined: what they may send and hold is limited as the platform's limits say. */
  readonly users?: Users | undefined;
}

/** Each holds up to `sessionBytes` of text until its reader has taken it. */
const foldsAtOnce = 4;
const foldsWaiting = 64;

/** One instance of the relay, in which nothing happens by itself. */
export function assembleRelay(platform: RelayPlatform, parts: RelayParts): Relay {
  const { limits, defer } = platform;
  const { tokens, resumeSecret, revocations, traces, users = new Users(limits) } = parts;
  const context = { ...platform, meters: new Meters(), traces };
  const rooms = new Rooms(context, users, (room, message) => hearClient(relay, room, message));
  const relay: Relay = {
    ...context,
    tokens,
    resumeTokens: createResumeTokens({ secret: resumeSecret, ttlMs: resumeTokenTtlMs }),
    rooms,
    instances: new Instances(context),
    users,
    admission: new Admission(limits),
    folds: new Admission({ joins: foldsAtOnce, joinsWaiting: foldsWaiting }),
    readings: new Readings(),
    revocations,
    retention: new Retention(context, rooms),
    inTurn: createTurns(defer),
  };
  return relay;
}

const resumeSecretBytes = 32;

/** The secret of all that share this store; a random one, where it has none yet. */
export async function keptResumeSecret(log: SessionLog): Promise<Uint8Array> {
  return await log.secret("resume", crypto.getRandomValues(new Uint8Array(resumeSecretBytes)));
}
