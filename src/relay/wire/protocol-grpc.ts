// gRPC: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
import { Code, ConnectError } from "@connectrpc/connect";
import {
  contentTypeJson,
  contentTypeProto,
  headerAcceptEncoding,
  headerContentType,
  headerGrpcMessage,
  parseContentType,
  setTrailerStatus,
} from "@connectrpc/connect/protocol-grpc";
import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import { connectErrorFrom } from "./errors.ts";
import type { EncodedEnd } from "./protocol.ts";

/** gRPC-Web has these headers from here, unchanged. */
export { assertUncompressed, parseDeadlineMs } from "./protocol-grpc-web.ts";

export const protocolName = "grpc";

export const streamContentTypes = [contentTypeProto, contentTypeJson];

export function matchForm(contentType: string | null): FrameForm | undefined {
  const type = parseContentType(contentType);
  if (type === undefined) return undefined;
  return type.binary ? "binary" : "json";
}

export function responseHeaders(form: FrameForm): Headers {
  return new Headers([
    [headerContentType, form === "binary" ? contentTypeProto : contentTypeJson],
    [headerAcceptEncoding, "identity"],
  ]);
}

export function encodeEnd(error: BatonError | undefined): EncodedEnd {
  return { trailers: setStatus(new Headers(), error && connectErrorFrom(error)) };
}

/** What gRPC calls trailers-only. An unknown method is 200 in it: of a 404 some clients read no further. */
export function refuse(status: number, message: string): Response {
  const headers = setStatus(
    new Headers({ [headerContentType]: contentTypeProto }),
    new ConnectError(message, Code.Unimplemented),
  );
  return new Response(null, { status: status === 404 ? 200 : status, headers });
}

/** connect-es escapes more of the text than gRPC does, and grpc-js shows people some of it as it came: "%3B" for ";". */
function setStatus(headers: Headers, error: ConnectError | undefined): Headers {
  setTrailerStatus(headers, error);
  if (error !== undefined) headers.set(headerGrpcMessage, encodeURI(error.rawMessage));
  return headers;
}
