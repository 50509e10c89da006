import { create, fromBinary } from "@bufbuild/protobuf";
import { assertMayEnter } from "../../auth/principal.ts";
import {
  type PublishRequest,
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import { refuse } from "../../session/refusal.ts";
import { authenticate } from "../authenticate.ts";
import { assertSessionId } from "../join.ts";
import { faultPayload } from "../payload.ts";
import { parseTraceparent } from "../traces/traceparent.ts";
import type { Gateway } from "./gateway.ts";
import { withVoucher } from "./hop-principal.ts";
import { encodeCall } from "./hop-publish.ts";

/** `Publish` at a gateway: who calls and how fast they may is looked at here, all else by the session's object. */
export async function handPublish(
  gateway: Gateway,
  request: PublishRequest,
  headers: Headers,
): Promise<PublishResponse> {
  const { now, users, objects, limits, subscribers } = gateway;
  const principal = await authenticate(gateway, headers);
  const { sessionId } = request;
  assertSessionId(sessionId);
  assertMayEnter(principal, sessionId);
  const user = users.of(principal.userId, now());
  // Without a stream it claims a client, and may make a session: the call counts too.
  if (request.resumeToken === "") user.assertRate(now(), user.unseenRate);
  user.visit(sessionId, now());
  const messages: SessionMessage[] = [];
  let retryAfterMs = 0;
  for (const message of request.messages) {
    retryAfterMs = user.unseenRate.take(now());
    if (retryAfterMs > 0) break;
    const { payload } = message;
    const isRotation = payload.case === "tokenRotation";
    messages.push(isRotation ? await withVoucher(gateway.tokens, message, payload.value.token, now()) : message);
  }
  const answer = retryAfterMs === 0 ? subscribers.answer(request, principal, now()) : undefined;
  if (answer !== undefined) return answer;
  const trace = parseTraceparent(headers);
  const call = { request: create(PublishRequestSchema, { ...request, messages }), principal, trace };
  const response = fromBinary(PublishResponseSchema, await objects.publish(sessionId, encodeCall(call)));
  const isStopped = response.replies.some(({ payload }) => payload.case === "fault");
  if (retryAfterMs === 0 && !isStopped) subscribers.taken(request, principal);
  if (retryAfterMs === 0 || isStopped) return response;
  const refused = request.messages[messages.length];
  const refusal = refuse("RATE_LIMITED", `rate ${limits.messagesPerSecond}/s`, retryAfterMs);
  const payload = faultPayload(refusal, Number(refused?.clientSeq ?? 0n));
  const fault = create(SessionMessageSchema, {
    sessionId,
    timestamp: BigInt(now()),
    userId: principal.userId,
    payload,
  });
  return create(PublishResponseSchema, { replies: [...response.replies, fault] });
}
