import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { z } from "zod";
import type { Principal } from "../../auth/principal.ts";
import {
  type PublishRequest,
  PublishRequestSchema,
  type PublishResponse,
  PublishResponseSchema,
} from "../../gen/codereview/v1/codereview_pb.ts";
import type { BatonError } from "../../session/reasons.ts";
import { errorSchema, hopError, hopPrincipal, principalSchema } from "./hop-principal.ts";

// A `Publish` on its way to a session's object and back. What is not known is ignored, as on a link.

const callSchema = z.object({
  principal: principalSchema,
  request: z.string(),
  trace: z.object({ traceId: z.string(), spanId: z.string(), traceFlags: z.number() }).optional(),
});

export interface HopCall {
  readonly request: PublishRequest;
  readonly principal: Principal;
  readonly trace: z.infer<typeof callSchema>["trace"];
}

const answerSchema = z.union([z.object({ response: z.string() }), z.object({ refused: errorSchema })]);

const ofJson = (value: object) => new TextEncoder().encode(JSON.stringify(value));
const parseJson = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

export function encodeCall({ request, principal, trace }: HopCall): Uint8Array<ArrayBuffer> {
  const body = base64Encode(toBinary(PublishRequestSchema, request));
  return ofJson({ principal: hopPrincipal(principal), request: body, ...(trace !== undefined && { trace }) });
}

export function decodeCall(bytes: Uint8Array): HopCall {
  const { request, principal, trace } = callSchema.parse(parseJson(bytes));
  return { request: fromBinary(PublishRequestSchema, base64Decode(request)), principal, trace };
}

export const encodeResponse = (response: PublishResponse): Uint8Array<ArrayBuffer> =>
  ofJson({ response: base64Encode(toBinary(PublishResponseSchema, response)) });

export const encodeRefusal = (error: BatonError): Uint8Array<ArrayBuffer> => ofJson({ refused: hopError(error) });

/** Throws what the object refused the call with. */
export function decodeAnswer(bytes: Uint8Array): PublishResponse {
  const answer = answerSchema.parse(parseJson(bytes));
  if ("refused" in answer) throw answer.refused;
  return fromBinary(PublishResponseSchema, base64Decode(answer.response));
}
