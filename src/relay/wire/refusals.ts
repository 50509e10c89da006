import type { WireBindings } from "./endpoint.ts";
import type { WireProtocol } from "./protocol.ts";
import * as protocolConnect from "./protocol-connect.ts";
import * as protocolGrpc from "./protocol-grpc.ts";
import { matchProtocol } from "./protocols.ts";

/** In the words of the protocol that the request came in; Connect's, which people can read, where it came in none. */
const speak = (request: Request, bindings: WireBindings): WireProtocol =>
  matchProtocol(request, bindings)?.protocol ?? protocolConnect;

export const refusePath = (request: Request, bindings: WireBindings): Response =>
  refuseNativeGrpc(request, bindings) ?? speak(request, bindings).refuse(404, "there is no such method");

export function refuseVerb(request: Request, bindings: WireBindings, allowed: string): Response {
  const response = speak(request, bindings).refuse(405, `this method is called by ${allowed}`);
  response.headers.set("allow", allowed);
  return response;
}

export function refuseContentType(request: Request, bindings: WireBindings, supported: readonly string[]): Response {
  const native = refuseNativeGrpc(request, bindings);
  if (native !== undefined) return native;
  // Of gRPC, then, it is an encoding that is not served.
  const protocol = isNativeGrpc(request) ? protocolGrpc : protocolConnect;
  const response = protocol.refuse(415, `this method speaks ${supported.join(", ")}`);
  response.headers.set("accept-post", supported.join(", "));
  return response;
}

const isNativeGrpc = (request: Request) =>
  /^application\/grpc(?:$|[+; ])/i.test(request.headers.get("content-type") ?? "");

/**
 * Native gRPC ends in HTTP trailers, which fetch's Response cannot send; a client would get messages and no status. So
 * where a listener has no other way to send them, it gets a status alone, in the headers, which gRPC calls
 * trailers-only. Undefined: the request is not native gRPC, or can be served.
 */
export function refuseNativeGrpc(request: Request, { sendTrailers }: WireBindings): Response | undefined {
  if (sendTrailers !== undefined || !isNativeGrpc(request)) return undefined;
  const message = "native gRPC is served over HTTP/2 on the relay's gRPC port; here are Connect and gRPC-Web";
  const response = protocolGrpc.refuse(200, message);
  response.headers.set("content-type", request.headers.get("content-type") ?? "");
  return response;
}
