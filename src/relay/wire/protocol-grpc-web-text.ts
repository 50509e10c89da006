// gRPC-Web in base64: the body that a browser's XMLHttpRequest can read before it has ended. Each frame is padded by
// itself, as Envoy does it too; the official client (grpc-web 2.1.1) reads padding in the middle, and cuts at four characters.
import { headerContentType, parseContentType } from "@connectrpc/connect/protocol-grpc-web";
import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import { encodeBase64 } from "./base64.ts";
import type { EncodedEnd } from "./protocol.ts";
import * as grpcWeb from "./protocol-grpc-web.ts";

export { parseCompression, parseDeadlineMs, protocolName, refuse } from "./protocol-grpc-web.ts";

export const contentTypeText = "application/grpc-web-text+proto";

export const streamContentTypes = [contentTypeText];

export function matchForm(contentType: string | null): FrameForm | undefined {
  const type = parseContentType(contentType);
  return type?.text && type.binary ? "text" : undefined;
}

export function responseHeaders(form: FrameForm): Headers {
  const headers = grpcWeb.responseHeaders(form);
  headers.set(headerContentType, contentTypeText);
  return headers;
}

export function encodeEnd(error: BatonError | undefined): EncodedEnd {
  const { bytes } = grpcWeb.encodeEnd(error);
  return bytes === undefined ? {} : { bytes: encodeBase64(bytes) };
}
