import type { FrameForm } from "../stream.ts";
import type { WireProtocol } from "./protocol.ts";
import * as protocolConnect from "./protocol-connect.ts";
import * as protocolGrpcWeb from "./protocol-grpc-web.ts";
import * as protocolGrpcWebText from "./protocol-grpc-web-text.ts";

export const protocols: readonly WireProtocol[] = [protocolConnect, protocolGrpcWeb, protocolGrpcWebText];

/** Which protocol and form a request for a stream is in. */
export function matchProtocol(request: Request): { protocol: WireProtocol; form: FrameForm } | undefined {
  const contentType = request.headers.get("content-type");
  for (const protocol of protocols) {
    const form = protocol.matchForm(contentType);
    if (form !== undefined) return { protocol, form };
  }
  return undefined;
}
