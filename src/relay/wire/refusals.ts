import { Code, ConnectError } from "@connectrpc/connect";
import { BatonError } from "../../session/reasons.ts";
import type { WireBindings } from "./endpoint.ts";
import { connectErrorFrom } from "./errors.ts";
import type { WireProtocol } from "./protocol.ts";
import * as protocolConnect from "./protocol-connect.ts";
import * as protocolGrpc from "./protocol-grpc.ts";
import { matchProtocol } from "./protocols.ts";
import { subprotocols } from "./socket-protocol.ts";

/** In the words of the protocol that the request came in; Connect's, which people can read, where it came in none. */
const speak = (request: Request, bindings: WireBindings): WireProtocol =>
  matchProtocol(request, bindings)?.protocol ?? protocolConnect;

const unimplemented = (message: string) => new ConnectError(message, Code.Unimplemented);

export const refusePath = (request: Request, bindings: WireBindings): Response =>
  refuseNativeGrpc(request, bindings) ?? speak(request, bindings).refuse(404, unimplemented("there is no such method"));

export function refuseVerb(request: Request, bindings: WireBindings, allowed: string): Response {
  const response = speak(request, bindings).refuse(405, unimplemented(`this method is called by ${allowed}`));
  response.headers.set("allow", allowed);
  return response;
}

export function refuseContentType(request: Request, bindings: WireBindings, supported: readonly string[]): Response {
  const native = refuseNativeGrpc(request, bindings);
  if (native !== undefined) return native;
  // Of gRPC, then, it is an encoding that is not served.
  const protocol = isNativeGrpc(request) ? protocolGrpc : protocolConnect;
  const response = protocol.refuse(415, unimplemented(`this method speaks ${supported.join(", ")}`));
  response.headers.set("accept-post", supported.join(", "));
  return response;
}

export const refuseOrigin = (request: Request, bindings: WireBindings): Response =>
  speak(request, bindings).refuse(403, connectErrorFrom(new BatonError("ORIGIN_FORBIDDEN")));

/** A browser shows nothing of this; it is for people with other clients. */
export const refuseSocket = (): Response =>
  protocolConnect.refuse(501, unimplemented("this listener serves no WebSocket; the relay's main port does"));

export const refuseSubprotocol = (): Response =>
  protocolConnect.refuse(
    400,
    connectErrorFrom(
      new BatonError("PROTOCOL_UNSUPPORTED", `offer one of the subprotocols ${subprotocols.join(", ")}`),
    ),
  );

const isNativeGrpc = (request: Request) =>
  /^application\/grpc(?:$|[+; ])/i.test(request.headers.get("content-type") ?? "");

/**
 * Native gRPC ends in HTTP trailers, which fetch's Response cannot send; a client would get messages and no status. So
 * where a listener has no other way to send them, it gets a status alone, in the headers, which gRPC calls
 * trailers-only. Undefined: the request is not native gRPC, or can be served.
 */
export function refuseNativeGrpc(request: Request, { sendTrailers }: WireBindings): Response | undefined {
  if (sendTrailers !== undefined || !isNativeGrpc(request)) return undefined;
  const message =
    "native gRPC is served over HTTP/2 on the gRPC port of a relay that has one; here are Connect and gRPC-Web";
  const response = protocolGrpc.refuse(200, unimplemented(message));
  response.headers.set("content-type", request.headers.get("content-type") ?? "");
  return response;
}
