// gRPC-Web: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  contentTypeJson,
  contentTypeProto,
  headerAcceptEncoding,
  headerContentType,
  headerEncoding,
  headerTimeout,
  parseContentType,
  parseTimeout,
  setTrailerStatus,
  trailerFlag,
  trailerSerialize,
} from "@connectrpc/connect/protocol-grpc-web";
import { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import { acceptedEncodings, type Decompress, parseEncoding } from "./compression.ts";
import { connectErrorFrom } from "./errors.ts";
import type { EncodedEnd } from "./protocol.ts";

export const protocolName = "grpc-web";

export const streamContentTypes = [contentTypeProto, contentTypeJson];

/** The text form is in protocol-grpc-web-text.ts. */
export function matchForm(contentType: string | null): FrameForm | undefined {
  const type = parseContentType(contentType);
  if (type === undefined || type.text) return undefined;
  return type.binary ? "binary" : "json";
}

export function parseDeadlineMs(headers: Headers): number | undefined {
  const { timeoutMs, error } = parseTimeout(headers.get(headerTimeout), Number.POSITIVE_INFINITY);
  if (error !== undefined) throw new BatonError("MALFORMED", "grpc-timeout is at most eight digits and one of HMSmun");
  return timeoutMs;
}

export function parseCompression(headers: Headers): Decompress | undefined {
  return parseEncoding(headers.get(headerEncoding));
}

export function responseHeaders(form: FrameForm): Headers {
  return new Headers([
    [headerContentType, form === "binary" ? contentTypeProto : contentTypeJson],
    [headerAcceptEncoding, acceptedEncodings],
  ]);
}

export function encodeEnd(error: BatonError | undefined): EncodedEnd {
  const trailer = setTrailerStatus(new Headers(), error && connectErrorFrom(error));
  return { bytes: encodeEnvelope(trailerFlag, trailerSerialize(trailer)) };
}

/** The status stands in the headers: there is no stream whose end could carry it. */
export function refuse(status: number, error: ConnectError): Response {
  const headers = setTrailerStatus(new Headers({ [headerContentType]: contentTypeProto }), error);
  return new Response(null, { status, headers });
}
