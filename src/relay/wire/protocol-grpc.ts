// gRPC: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
import type { ConnectError } from "@connectrpc/connect";
import {
  contentTypeJson,
  contentTypeProto,
  headerAcceptEncoding,
  headerContentType,
  parseContentType,
  setTrailerStatus,
} from "@connectrpc/connect/protocol-grpc";
import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import { acceptedEncodings } from "./compression.ts";
import { connectErrorFrom } from "./errors.ts";
import type { EncodedEnd } from "./protocol.ts";

/** gRPC-Web has these headers from here, unchanged. */
export { parseCompression, parseDeadlineMs } from "./protocol-grpc-web.ts";

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
    [headerAcceptEncoding, acceptedEncodings],
  ]);
}

export function encodeEnd(error: BatonError | undefined): EncodedEnd {
  return { trailers: setTrailerStatus(new Headers(), error && connectErrorFrom(error)) };
}

/** What gRPC calls trailers-only. An unknown method is 200 in it: of a 404 some clients read no further. */
export function refuse(status: number, error: ConnectError): Response {
  const headers = setTrailerStatus(new Headers({ [headerContentType]: contentTypeProto }), error);
  return new Response(null, { status: status === 404 ? 200 : status, headers });
}
