// Connect's streams: https://connectrpc.com/docs/protocol#streaming-rpcs
import type { ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  contentTypeStreamJson,
  contentTypeStreamProto,
  contentTypeUnaryJson,
  endStreamFlag,
  endStreamToJson,
  errorToJson,
  headerContentType,
  headerStreamAcceptEncoding,
  headerStreamEncoding,
  headerTimeout,
  parseContentType,
  parseTimeout,
} from "@connectrpc/connect/protocol-connect";
import { BatonError } from "../../session/reasons.ts";
import type { FrameForm } from "../stream.ts";
import { acceptedEncodings, type Decompress, parseEncoding } from "./compression.ts";
import { connectErrorFrom } from "./errors.ts";
import type { EncodedEnd } from "./protocol.ts";

export const protocolName = "connect";

export const streamContentTypes = [contentTypeStreamProto, contentTypeStreamJson];

export function matchForm(contentType: string | null): FrameForm | undefined {
  const type = parseContentType(contentType);
  if (type === undefined || !type.stream) return undefined;
  return type.binary ? "binary" : "json";
}

export function parseDeadlineMs(headers: Headers): number | undefined {
  const { timeoutMs, error } = parseTimeout(headers.get(headerTimeout), Number.POSITIVE_INFINITY);
  if (error !== undefined) throw new BatonError("MALFORMED", "connect-timeout-ms is a number of at most ten digits");
  return timeoutMs;
}

export function parseCompression(headers: Headers): Decompress | undefined {
  return parseEncoding(headers.get(headerStreamEncoding));
}

export function responseHeaders(form: FrameForm): Headers {
  return new Headers([
    [headerContentType, form === "binary" ? contentTypeStreamProto : contentTypeStreamJson],
    [headerStreamAcceptEncoding, acceptedEncodings],
  ]);
}

const encoder = new TextEncoder();

export function encodeEnd(error: BatonError | undefined): EncodedEnd {
  const end = endStreamToJson(new Headers(), error && connectErrorFrom(error), undefined);
  return { bytes: encodeEnvelope(endStreamFlag, encoder.encode(JSON.stringify(end))) };
}

/** Clients of streams go by the status alone; people and unary clients read the body. */
export function refuse(status: number, error: ConnectError): Response {
  return new Response(JSON.stringify(errorToJson(error, undefined)), {
    status,
    headers: { [headerContentType]: contentTypeUnaryJson },
  });
}
