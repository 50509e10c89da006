import { create } from "@bufbuild/protobuf";
import { getLogger } from "@logtape/logtape";
import type { Principal } from "../auth/principal.ts";
import { checkRotation } from "../auth/rotation.ts";
import { mayWrite } from "../auth/scopes.ts";
import {
  TokenStatus_State as TokenState,
  type TokenStatus,
  TokenStatusSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../session/reasons.ts";
import { lastClientSeq } from "../session/state.ts";
import { claimClient } from "./claim.ts";
import { assertNotRevoked } from "./end-streams.ts";
import type { Participant } from "./participant.ts";
import type { Identity, RelayPayload } from "./payload.ts";
import type { Relay } from "./relay.ts";
import type { Room } from "./room.ts";

const logger = getLogger(["baton", "token"]);

/** A token as a client is told of it. */
export function tokenStatus(state: TokenState, principal: Principal, reason = ""): TokenStatus {
  return create(TokenStatusSchema, {
    state,
    expiresAt: BigInt(principal.expiresAtMs),
    scopes: [...principal.scopes],
    reason,
  });
}

/** Of a token that is not good here or cannot be judged now, and of a session that has no place for one more who writes. */
const isRefusal = ({ code, reason }: BatonError) =>
  code === "unauthenticated" || code === "resource_exhausted" || reason === "KEYS_UNAVAILABLE";

/** Checks a new token for a client and, when it is good, puts it in force at once. The answer is a `TokenStatus`. */
export async function rotateToken(
  relay: Relay,
  room: Room,
  voice: { readonly identity: Identity; readonly principal: Principal; readonly generation: number },
  token: string,
): Promise<RelayPayload> {
  const { identity } = voice;
  const participant = room.participants.ofClient(identity.key);
  const current = participant?.principal ?? voice.principal;
  try {
    const next = await relay.tokens.verify(token, relay.now());
    checkRotation(current, next, identity.sessionId);
    if (participant !== undefined) await putInForce(relay, room, participant, next);
    else room.elsewhere.renewed(identity.key, voice.generation, next);
    room.elsewhere.tellRenewed(identity, participant?.generation ?? voice.generation, next);
    relay.meters.rotations.add("accepted");
    return { case: "tokenStatus", value: tokenStatus(TokenState.ACCEPTED, next) };
  } catch (error) {
    if (!(error instanceof BatonError) || !isRefusal(error)) throw error;
    relay.meters.rotations.add("rejected");
    logger.info("token rotation refused", { session: identity.sessionId, user: identity.userId, reason: error.reason });
    return { case: "tokenStatus", value: tokenStatus(TokenState.REJECTED, current, error.message) };
  }
}

/** The token in force for a stream is now this one: its end and its scopes hold at once, also where they are less. */
export async function putInForce(
  relay: Relay,
  room: Room,
  participant: Participant,
  principal: Principal,
): Promise<void> {
  const { key } = participant.identity;
  const writes = mayWrite(principal.scopes);
  if (writes && participant.generation === 0 && room.writerCount(key) >= relay.limits.writers) {
    throw new BatonError("SESSION_FULL");
  }
  assertNotRevoked(relay, principal);
  room.renew(participant, principal);
  if (!writes) {
    room.tell(room.roster.left(key));
    return;
  }
  if (participant.generation === 0) {
    const claim = await claimClient(relay, room, participant.identity);
    if (claim === undefined || !room.participants.has(participant.streamId)) return;
    participant.generation = claim.generation;
    participant.reader.ackFrom = lastClientSeq(room.state, key) + 1;
  }
  room.showWriter(participant);
}
