import { CompactSign } from "jose";
import { z } from "zod";
import { BatonError } from "../session/reasons.ts";
import { readHeader, verifyPayload } from "./compact-jws.ts";
import { secretFault } from "./key-import.ts";

/** Where a client can go on. It says nothing about who the client is: that the JWT says, anew each time. */
export interface ResumeClaims {
  readonly sessionId: string;
  readonly epoch: string;
  readonly userId: string;
  readonly clientId: string;
  /** The client's claim on the log under which the token was issued. */
  readonly generation: number;
  /** The log's last seq when it was issued: one beyond the log's head means that the log lost its tail. */
  readonly head: number;
}

export interface ResumeTokens {
  issue(claims: ResumeClaims, nowMs: number): Promise<string>;
  /**
   * Opens a token that `userId` brought for `sessionId`. Rejects with `RESUME_TOKEN_INVALID` where it is damaged,
   * expired, of another version or not ours, and with `RESUME_FORBIDDEN` where it was issued to another user or for
   * another session; each always in the same words.
   */
  open(
    token: string,
    holder: { readonly sessionId: string; readonly userId: string },
    nowMs: number,
  ): Promise<ResumeClaims>;
}

/**
 * The header's `typ`. The verifier of JWTs does not take it and this one takes nothing else, so that neither kind of
 * token can stand for the other, even where one secret signs both.
 */
const resumeTokenType = "baton-resume";
const algorithm = "HS256";
const version = 1;
/** The longest ids in three bytes a character, and base64, take half of it. */
const maxResumeTokenBytes = 4096;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** No claim has a name that JWTs use: a second reason why it is no JWT. */
const payloadSchema = z.object({
  version: z.literal(version),
  sessionId: z.string().min(1),
  epoch: z.string(),
  userId: z.string().min(1),
  clientId: z.string().min(1),
  generation: count,
  head: count,
  expiresAtMs: count,
});

/**
 * Signs and opens resume tokens. All instances of a relay share the secret, at least 32 bytes (else a `RangeError`);
 * `ttlMs` is how long a token is good for.
 */
export function createResumeTokens(options: { readonly secret: Uint8Array; readonly ttlMs: number }): ResumeTokens {
  const fault = secretFault(options.secret);
  if (fault !== undefined) throw new RangeError(fault);
  const secret = Uint8Array.from(options.secret);
  const { ttlMs } = options;

  return {
    issue({ sessionId, epoch, userId, clientId, generation, head }, nowMs) {
      const payload = payloadSchema.parse({
        version,
        sessionId,
        epoch,
        userId,
        clientId,
        generation,
        head,
        expiresAtMs: Math.floor(nowMs + ttlMs),
      });
      return new CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
        .setProtectedHeader({ alg: algorithm, typ: resumeTokenType })
        .sign(secret);
    },

    async open(token, holder, nowMs) {
      const read = readHeader(token, maxResumeTokenBytes);
      if (read.kind === "refused" || read.header.typ !== resumeTokenType) {
        throw new BatonError("RESUME_TOKEN_INVALID");
      }
      const verified = await verifyPayload(token, secret, [algorithm]);
      const parsed = verified.kind === "payload" ? payloadSchema.safeParse(verified.value) : undefined;
      if (parsed?.data === undefined || nowMs >= parsed.data.expiresAtMs) throw new BatonError("RESUME_TOKEN_INVALID");
      const { version: _version, expiresAtMs: _expiresAtMs, ...claims } = parsed.data;
      if (claims.userId !== holder.userId || claims.sessionId !== holder.sessionId) {
        throw new BatonError("RESUME_FORBIDDEN");
      }
      return claims;
    },
  };
}
