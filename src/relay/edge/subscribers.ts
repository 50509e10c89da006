import { create } from "@bufbuild/protobuf";
import type { Principal } from "../../auth/principal.ts";
import {
  type PublishRequest,
  type PublishResponse,
  PublishResponseSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import type { Identity } from "../payload.ts";

/** A Subscribe stream of this gateway, as far as its client's calls concern it. */
export interface Subscriber {
  /** Of the token in force. */
  readonly principal: Principal;
  /** Its client said something. */
  heard(bytes: number): void;
}

interface Known {
  readonly stream: Subscriber;
  readonly identity: Identity;
  /** What its client last said to have applied, as far as the object has taken it. */
  confirmedSeq: bigint;
}

/**
 * The Subscribe streams of this gateway, by the resume token of their Welcome, which their clients' calls bring along. So a
 * call that says no more than that its client lives wakes no object, where it comes by the gateway of the client's stream.
 */
export class Subscribers {
  readonly #known = new Map<string, Known>();

  add(resumeToken: string, identity: Identity, stream: Subscriber): void {
    this.#known.set(resumeToken, { stream, identity, confirmedSeq: 0n });
  }

  delete(resumeToken: string, stream: Subscriber): void {
    if (this.#known.get(resumeToken)?.stream === stream) this.#known.delete(resumeToken);
  }

  /** What answers the call, whose client is heard by it; undefined: it says something that its session's object has to hear. */
  answer(request: PublishRequest, caller: Principal, nowMs: number): PublishResponse | undefined {
    const known = this.#of(request, caller);
    // Under a newer token its stream lives on that.
    if (known === undefined || caller.issuedAtMs > known.stream.principal.issuedAtMs) return undefined;
    const { messages } = request;
    if (messages.length === 0 || !messages.every((message) => saysNothingNew(message, known))) return undefined;
    known.stream.heard(0);
    const { sessionId, userId, clientId } = known.identity;
    const replies = messages.flatMap(({ payload }) => {
      if (payload.case !== "heartbeat" || payload.value.echo !== 0n || payload.value.sentAt === 0n) return [];
      const value = { sentAt: BigInt(nowMs), echo: payload.value.sentAt };
      const reply = { sessionId, userId, clientId, timestamp: BigInt(nowMs) };
      return [create(SessionMessageSchema, { ...reply, payload: { case: "heartbeat", value } })];
    });
    return create(PublishResponseSchema, { replies });
  }

  /** The object has taken all of the call. */
  taken(request: PublishRequest, caller: Principal): void {
    const known = this.#of(request, caller);
    if (known === undefined) return;
    for (const { payload } of request.messages) {
      if (payload.case === "heartbeat" && payload.value.receivedSeq !== 0n) {
        known.confirmedSeq = payload.value.receivedSeq;
      }
    }
  }

  #of({ resumeToken, sessionId }: PublishRequest, { userId }: Principal): Known | undefined {
    const known = this.#known.get(resumeToken);
    return known?.identity.sessionId === sessionId && known.identity.userId === userId ? known : undefined;
  }
}

function saysNothingNew(message: SessionMessage, { identity, confirmedSeq }: Known): boolean {
  const { payload, sessionId, userId, clientId } = message;
  const isOwn =
    (sessionId === "" || sessionId === identity.sessionId) &&
    (userId === "" || userId === identity.userId) &&
    (clientId === "" || clientId === identity.clientId);
  if (payload.case !== "heartbeat" || !isOwn) return false;
  return payload.value.receivedSeq === 0n || payload.value.receivedSeq === confirmedSeq;
}
