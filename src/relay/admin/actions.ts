import { create } from "@bufbuild/protobuf";
import { assertAdministers, assertAdministersAll } from "../../auth/admin.ts";
import { isClaimName } from "../../auth/claims.ts";
import type { Principal } from "../../auth/principal.ts";
import type {
  DeleteSessionRequest,
  DeleteSessionResponse,
  DisconnectRequest,
  DisconnectResponse,
  RevokeTokensRequest,
  RevokeTokensResponse,
} from "../../gen/codereview/v1/codereview_pb.ts";
import {
  DeleteSessionResponseSchema,
  DisconnectResponseSchema,
  RevokeTokensResponseSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError } from "../../session/reasons.ts";
import { type Revocation, revokeUser } from "../../session/revocation.ts";
import { assertSessionId } from "../join.ts";
import type { Administered } from "./administered.ts";

/** Ends streams wherever they are; the answer counts those of whoever answered in time. */
export async function disconnectStreams(
  { live }: Administered,
  principal: Principal,
  { sessionId, userId, clientId }: DisconnectRequest,
): Promise<DisconnectResponse> {
  if (sessionId === "") {
    assertAdministersAll(principal);
  } else {
    assertSessionId(sessionId);
    assertAdministers(principal, sessionId);
  }
  if (userId === "" && clientId === "") {
    throw new BatonError("REQUEST_INVALID", "give user_id, client_id or both: whose streams are to end");
  }
  if (sessionId !== "" && !(await live.isThere(sessionId))) throw new BatonError("SESSION_NOT_FOUND");
  const streams = await live.disconnect({ sessionId, userId, clientId });
  return create(DisconnectResponseSchema, { streams });
}

/** Refuses tokens from now on: here at once, elsewhere as soon as the others have read it. */
export async function revokeTokens(
  { revocations, now, live }: Administered,
  principal: Principal,
  request: RevokeTokensRequest,
): Promise<RevokeTokensResponse> {
  assertAdministersAll(principal);
  const revocation = parseRevocation(request, now());
  await revocations.revoke(revocation);
  return create(RevokeTokensResponseSchema, { streams: await live.endRevoked(revocation) });
}

function parseRevocation({ tokenId, userId }: RevokeTokensRequest, nowMs: number): Revocation {
  if ((tokenId === "") === (userId === "")) {
    throw new BatonError("REQUEST_INVALID", "give token_id (the claim jti) or user_id (the claim sub), one of the two");
  }
  if (!isClaimName(tokenId === "" ? userId : tokenId)) {
    throw new BatonError(
      "REQUEST_INVALID",
      "no token can have this name: it has at most 256 characters, none of them a control character",
    );
  }
  if (looksLikeJwt.test(tokenId)) {
    throw new BatonError("REQUEST_INVALID", "token_id is the claim jti of a token, not the token itself");
  }
  return tokenId === "" ? revokeUser(userId, nowMs) : { kind: "token", tokenId };
}

/** `eyJ` is `{"`: the beginning of every JWT. */
const looksLikeJwt = /^eyJ[\w-]+\./;

/** Forgets a session for good. Whoever is in it, or comes back, begins anew in an empty one of another epoch. */
export async function deleteSession(
  { log, live }: Administered,
  principal: Principal,
  { sessionId }: DeleteSessionRequest,
): Promise<DeleteSessionResponse> {
  assertSessionId(sessionId);
  assertAdministers(principal, sessionId);
  const epoch = await log.delete(sessionId);
  if (epoch === "") throw new BatonError("SESSION_NOT_FOUND");
  live.endEpoch(sessionId, epoch);
  return create(DeleteSessionResponseSchema);
}
