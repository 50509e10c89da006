import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { z } from "zod";
import type { Principal } from "../../auth/principal.ts";
import { type PublishRequest, PublishRequestSchema } from "../../gen/codereview/v1/codereview_pb.ts";
import { hopPrincipal, principalSchema } from "./hop-principal.ts";

const callSchema = z.object({
  principal: principalSchema,
  request: z.string(),
  trace: z.object({ traceId: z.string(), spanId: z.string(), traceFlags: z.number() }).optional(),
});

/** A `Publish` on its way to a session's object. What is not known is ignored, as on a link. */
export interface HopCall {
  readonly request: PublishRequest;
  readonly principal: Principal;
  readonly trace: z.infer<typeof callSchema>["trace"];
}

export function encodeCall({ request, principal, trace }: HopCall): Uint8Array {
  const body = base64Encode(toBinary(PublishRequestSchema, request));
  const call = { principal: hopPrincipal(principal), request: body, ...(trace !== undefined && { trace }) };
  return new TextEncoder().encode(JSON.stringify(call));
}

export function decodeCall(bytes: Uint8Array): HopCall {
  const { request, principal, trace } = callSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  return { request: fromBinary(PublishRequestSchema, base64Decode(request)), principal, trace };
}
