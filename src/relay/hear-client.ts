import { getLogger } from "@logtape/logtape";
import type { Principal } from "../auth/principal.ts";
import { checkRotation } from "../auth/rotation.ts";
import { TokenStatus_State as TokenState } from "../gen/codereview/v1/codereview_pb.ts";
import { assertNever } from "../session/reasons.ts";
import { reasonOf } from "./metrics/meters.ts";
import type { Participant } from "./participant.ts";
import type { Relay } from "./relay.ts";
import type { ClientMessage, Room } from "./room.ts";
import { putInForce, tokenStatus } from "./rotate.ts";
import { keyOfClient, principalOf } from "./streams-elsewhere.ts";

const logger = getLogger(["baton", "token"]);

/** What another instance says of a client: of one whose stream is here, it holds here; of others it is kept in mind. */
export function hearClient(relay: Relay, room: Room, message: ClientMessage): void {
  const key = keyOfClient(message);
  const participant = room.participants.ofClient(key);
  const nowMs = relay.now();
  if (participant === undefined || !isSpeakingFor(participant, message.generation)) {
    if (message.kind === "renewed") room.elsewhere.renewed(key, message.generation, principalOf(message.token));
    return;
  }
  participant.heard(nowMs);
  switch (message.kind) {
    case "heard": {
      const { isInput, says, token } = message;
      if (isInput) room.tell(room.roster.active(key, nowMs));
      if (says !== undefined) room.says(participant.identity, participant.generation, says, nowMs);
      if (token !== undefined && token.issuedAtMs > participant.principal.issuedAtMs) {
        void renew(relay, room, participant, principalOf(token));
      }
      return;
    }
    case "renewed":
      void renew(relay, room, participant, principalOf(message.token));
      return;
    default:
      assertNever(message);
  }
}

/** A client that joined as a reader speaks under no claim, also once its stream has one. */
function isSpeakingFor({ generation, joinedAsReader }: Participant, spoken: number): boolean {
  return generation === spoken || (spoken === 0 && joinedAsReader);
}

/** Never rejects: what is refused here stays as it was, and its client learns so when the token in force ends. */
async function renew(relay: Relay, room: Room, participant: Participant, next: Principal): Promise<void> {
  try {
    checkRotation(participant.principal, next, room.sessionId);
    await putInForce(relay, room, participant, next);
    relay.meters.rotations.add("accepted");
    participant.reader.tell({ case: "tokenStatus", value: tokenStatus(TokenState.ACCEPTED, next) });
  } catch (error) {
    relay.meters.rotations.add("rejected");
    logger.info("a token from elsewhere is not put in force", { session: room.sessionId, reason: reasonOf(error) });
  }
}
