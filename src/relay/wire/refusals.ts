import { Code, ConnectError } from "@connectrpc/connect";
import { headerGrpcMessage, headerGrpcStatus } from "@connectrpc/connect/protocol-grpc";
import { BatonError } from "../../session/reasons.ts";
import { connectErrorFrom } from "./errors.ts";
import type { WireProtocol } from "./protocol.ts";
import * as protocolConnect from "./protocol-connect.ts";
import { matchProtocol } from "./protocols.ts";

/** In the words of the protocol that the request came in; Connect's, which people can read, where it came in none. */
const speak = (request: Request): WireProtocol => matchProtocol(request)?.protocol ?? protocolConnect;

const unimplemented = (message: string) => new ConnectError(message, Code.Unimplemented);

export const refusePath = (request: Request): Response =>
  refuseNativeGrpc(request) ?? speak(request).refuse(404, unimplemented("there is no such method"));

export function refuseVerb(request: Request, allowed: string): Response {
  const response = speak(request).refuse(405, unimplemented(`this method is called by ${allowed}`));
  response.headers.set("allow", allowed);
  return response;
}

export function refuseContentType(request: Request, supported: readonly string[]): Response {
  const native = refuseNativeGrpc(request);
  if (native !== undefined) return native;
  const response = protocolConnect.refuse(415, unimplemented(`this method speaks ${supported.join(", ")}`));
  response.headers.set("accept-post", supported.join(", "));
  return response;
}

export const refuseOrigin = (request: Request): Response =>
  speak(request).refuse(403, connectErrorFrom(new BatonError("ORIGIN_FORBIDDEN")));

/**
 * Native gRPC ends in HTTP trailers, which fetch's Response cannot send; a client would get messages and no status. So
 * it gets a status alone, in the headers, which gRPC calls trailers-only. Undefined: the request is not native gRPC.
 */
function refuseNativeGrpc(request: Request): Response | undefined {
  const contentType = request.headers.get("content-type") ?? "";
  if (!/^application\/grpc(?:$|[+; ])/i.test(contentType)) return undefined;
  const message = "native gRPC is served on the relay's gRPC port; this one speaks Connect and gRPC-Web";
  return new Response(null, {
    headers: {
      "content-type": contentType,
      [headerGrpcStatus]: String(Code.Unimplemented),
      [headerGrpcMessage]: encodeURIComponent(message),
    },
  });
}
