import { create } from "@bufbuild/protobuf";
import { z } from "zod";
import type { Principal } from "../../auth/principal.ts";
import { parseScopes } from "../../auth/scopes.ts";
import type { TokenVerifier } from "../../auth/verify.ts";
import {
  type SessionMessage,
  SessionMessageSchema,
  TokenRotationSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { BatonError, isReason } from "../../session/reasons.ts";

/** What a verified token says, as it crosses from a gateway to a session's object. Never the token. */
export const principalSchema = z
  .object({
    userId: z.string(),
    scope: z.string(),
    sessions: z.array(z.string()),
    issuedAtMs: z.number(),
    expiresAtMs: z.number(),
    tokenId: z.string().optional(),
  })
  .transform(({ scope, tokenId, ...rest }): Principal => ({ ...rest, tokenId, scopes: parseScopes(scope) }));

export type HopPrincipal = z.input<typeof principalSchema>;

export function hopPrincipal({ userId, scopes, sessions, issuedAtMs, expiresAtMs, tokenId }: Principal): HopPrincipal {
  const said = { userId, scope: [...scopes].join(" "), sessions: [...sessions], issuedAtMs, expiresAtMs };
  return tokenId === undefined ? said : { ...said, tokenId };
}

/** Why a stream or a call ended. A reason that only newer code has is one of ours that is not known here. */
export const errorSchema = z
  .object({ reason: z.string(), message: z.string(), retryAfterMs: z.number() })
  .transform(
    ({ reason, message, retryAfterMs }) =>
      new BatonError(isReason(reason) ? reason : "INTERNAL", message, { retryAfterMs }),
  );

export type HopError = z.input<typeof errorSchema>;

export const hopError = ({ reason, message, retryAfterMs }: BatonError): HopError => ({
  reason,
  message,
  retryAfterMs,
});

const voucherSchema = z.union([
  z.object({ principal: principalSchema }),
  z.object({ refused: errorSchema }).transform(({ refused }) => ({ refused })),
]);

/**
 * What stands in the place of a token behind the gateway: what the gateway found when it verified it. Only a gateway can
 * reach an object, and it puts one in the place of every token that a client sends.
 */
async function vouch(tokens: TokenVerifier, token: string, nowMs: number): Promise<string> {
  try {
    return JSON.stringify({ principal: hopPrincipal(await tokens.verify(token, nowMs)) });
  } catch (error) {
    if (!(error instanceof BatonError)) throw error;
    return JSON.stringify({ refused: hopError(error) });
  }
}

/** The rotation with a voucher in the place of its token. */
export async function withVoucher(
  tokens: TokenVerifier,
  message: SessionMessage,
  token: string,
  nowMs: number,
): Promise<SessionMessage> {
  const value = create(TokenRotationSchema, { token: await vouch(tokens, token, nowMs) });
  return create(SessionMessageSchema, { ...message, payload: { case: "tokenRotation", value } });
}

/** The verifier behind the gateway: it takes the gateway's word. */
export const vouchedTokens: TokenVerifier = {
  async verify(voucher) {
    const found = voucherSchema.parse(JSON.parse(voucher));
    if ("refused" in found) throw found.refused;
    return found.principal;
  },
};
