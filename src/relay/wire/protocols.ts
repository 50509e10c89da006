import type { FrameForm } from "../stream.ts";
import type { WireBindings } from "./endpoint.ts";
import type { WireProtocol } from "./protocol.ts";
import * as protocolConnect from "./protocol-connect.ts";
import * as protocolGrpc from "./protocol-grpc.ts";
import * as protocolGrpcWeb from "./protocol-grpc-web.ts";
import * as protocolGrpcWebText from "./protocol-grpc-web-text.ts";

const withoutTrailers: readonly WireProtocol[] = [protocolConnect, protocolGrpcWeb, protocolGrpcWebText];
const withTrailers: readonly WireProtocol[] = [...withoutTrailers, protocolGrpc];

/** What a listener can carry: native gRPC ends in trailers. */
export const servedProtocols = ({ sendTrailers }: WireBindings): readonly WireProtocol[] =>
  sendTrailers === undefined ? withoutTrailers : withTrailers;

/** Which protocol and form a request for a stream is in. */
export function matchProtocol(
  request: Request,
  bindings: WireBindings,
): { protocol: WireProtocol; form: FrameForm } | undefined {
  const contentType = request.headers.get("content-type");
  for (const protocol of servedProtocols(bindings)) {
    const form = protocol.matchForm(contentType);
    if (form !== undefined) return { protocol, form };
  }
  return undefined;
}
