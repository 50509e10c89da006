import { Code, ConnectError } from "@connectrpc/connect";
import { readAllBytes, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  endStreamFlag,
  endStreamFromJson,
  errorFromJsonBytes,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import type { BatonError } from "../../session/reasons.ts";
import type { SendTrailers } from "./body.ts";
import { envelopeBytes } from "./envelope.ts";
import { batonErrorFrom, connectErrorFrom, type ReportError } from "./errors.ts";
import * as protocolConnect from "./protocol-connect.ts";
import * as protocolGrpc from "./protocol-grpc.ts";
import * as protocolGrpcWeb from "./protocol-grpc-web.ts";
import { requestErrorFrom } from "./request-errors.ts";

export interface HandlerCall {
  readonly streamId: string;
  readonly sendTrailers: SendTrailers | undefined;
  readonly report: ReportError;
}

type Body = AsyncIterable<Uint8Array>;

/**
 * Errors that connect-es finds before an interceptor runs (undecodable, too large) have no `Fault`, and quote what was
 * sent. Here they get our words, wherever the protocol has them: a Connect body of its own, the last envelope, or the
 * trailers, which are sent from here. An answer that is no error goes through untouched.
 */
export async function nameErrors(
  response: UniversalServerResponse,
  call: HandlerCall,
): Promise<UniversalServerResponse> {
  const { body, status, header, trailer } = response;
  if (body === undefined) return response;
  if (status !== 200) return await nameBody(response, body, call);
  const contentType = header?.get("content-type") ?? "";
  if (protocolConnect.streamContentTypes.includes(contentType)) {
    const rename = (data: Uint8Array) => {
      const { error } = endStreamFromJson(data);
      return error && protocolConnect.encodeEnd(nameError(error, call)).bytes;
    };
    return { ...response, body: nameEnvelope(body, endStreamFlag, rename) };
  }
  if (protocolGrpcWeb.streamContentTypes.includes(contentType)) {
    const rename = (data: Uint8Array) => {
      const error = findTrailerError(trailerParse(data));
      return error && protocolGrpcWeb.encodeEnd(nameError(error, call)).bytes;
    };
    return { ...response, body: nameEnvelope(body, trailerFlag, rename) };
  }
  if (trailer !== undefined && protocolGrpc.streamContentTypes.includes(contentType)) {
    const ended = () => {
      const error = findTrailerError(trailer);
      call.sendTrailers?.((error && protocolGrpc.encodeEnd(nameError(error, call)).trailers) ?? trailer);
    };
    return { ...response, body: mapBody(body, (envelope) => envelope, ended) };
  }
  return response;
}

/** A unary Connect error. */
async function nameBody(
  { header }: UniversalServerResponse,
  body: Body,
  call: HandlerCall,
): Promise<UniversalServerResponse> {
  const error = errorFromJsonBytes(
    await readAllBytes(body, Number.MAX_SAFE_INTEGER),
    undefined,
    new ConnectError("", Code.Internal),
  );
  const named = connectErrorFrom(nameError(error, call));
  const bytes = errorToJsonBytes(named, undefined);
  const headers = new Headers(header);
  headers.set("content-length", String(bytes.length));
  return { status: codeToHttpStatus(named.code), header: headers, body: once(bytes) };
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** connect-es hands out whole envelopes; the one with the flag is the last. */
function nameEnvelope(envelopes: Body, flag: number, rename: (data: Uint8Array) => Uint8Array | undefined): Body {
  return mapBody(envelopes, (envelope) => {
    const isEnd = ((envelope[0] ?? 0) & flag) !== 0;
    return (isEnd ? rename(envelope.subarray(envelopeBytes)) : undefined) ?? envelope;
  });
}

/** No generator: what is thrown into one, when the body is let go, would wait behind the bytes that it waits for. */
function mapBody(body: Body, map: (bytes: Uint8Array) => Uint8Array, ended?: () => void): Body {
  const iterator = body[Symbol.asyncIterator]();
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const result = await iterator.next();
        if (result.done !== true) return { done: false, value: map(result.value) };
        ended?.();
        return result;
      },
      throw: async (reason) => (await iterator.throw?.(reason)) ?? { done: true, value: undefined },
    }),
  };
}

function nameError(error: ConnectError, { streamId, report }: HandlerCall): BatonError {
  const own = batonErrorFrom(error);
  if (own !== undefined) return own;
  const named = requestErrorFrom(error, streamId);
  // Up to the first colon: what stands behind it may quote a message.
  if (named.reason === "INTERNAL") report(streamId, new Error(error.rawMessage.split(":", 1)[0]));
  return named;
}
