import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope, readAllBytes, type UniversalServerResponse } from "@connectrpc/connect/protocol";
import { codeToHttpStatus, errorFromJsonBytes, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { setTrailerStatus, trailerFlag, trailerParse, trailerSerialize } from "@connectrpc/connect/protocol-grpc-web";
import { BatonError } from "../../session/reasons.ts";
import { acceptedEncodings } from "./compression.ts";
import { envelopeBytes } from "./envelope.ts";
import { batonErrorFrom, connectErrorFrom } from "./errors.ts";

export interface CallReport {
  readonly streamId: string;
  readonly report: (streamId: string, error: unknown) => void;
}

/**
 * Errors that connect-es finds before an interceptor runs (undecodable, too large) have no `Fault`, and quote what was
 * sent. Here they get our words. An answer that is no error goes through untouched.
 */
export async function nameErrors(
  response: UniversalServerResponse,
  call: CallReport,
): Promise<UniversalServerResponse> {
  const { body, status, header } = response;
  if (body === undefined) return response;
  if (status === 200) {
    const isGrpcWeb = header?.get("content-type")?.startsWith("application/grpc-web") === true;
    return isGrpcWeb ? { ...response, body: nameTrailer(body, call) } : response;
  }
  const error = errorFromJsonBytes(
    await readAllBytes(body, Number.MAX_SAFE_INTEGER),
    undefined,
    new ConnectError("", Code.Internal),
  );
  const named = nameError(error, call);
  const bytes = errorToJsonBytes(named, undefined);
  const headers = new Headers(header);
  headers.set("content-length", String(bytes.length));
  return { status: codeToHttpStatus(named.code), header: headers, body: once(bytes) };
}

/** connect-es hands out whole envelopes; the one with the trailer flag is the last. */
async function* nameTrailer(envelopes: AsyncIterable<Uint8Array>, call: CallReport): AsyncGenerator<Uint8Array> {
  for await (const envelope of envelopes) {
    const isTrailer = ((envelope[0] ?? 0) & trailerFlag) !== 0;
    const error = isTrailer ? findTrailerError(trailerParse(envelope.subarray(envelopeBytes))) : undefined;
    if (error === undefined) {
      yield envelope;
    } else {
      const trailer = setTrailerStatus(new Headers(), nameError(error, call));
      yield encodeEnvelope(trailerFlag, trailerSerialize(trailer));
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function nameError(error: ConnectError, { streamId, report }: CallReport): ConnectError {
  const own = batonErrorFrom(error);
  if (own !== undefined) return connectErrorFrom(own);
  const named = reasonOf(error, streamId);
  // Up to the first colon: what stands behind it may quote a message.
  if (named.reason === "INTERNAL") report(streamId, new Error(error.rawMessage.split(":", 1)[0]));
  return connectErrorFrom(named);
}

/** connect-es calls a binary message that it cannot read an internal error, and a missing one unimplemented. */
const malformed = /^(?:parse binary|protocol error)\b/;
const unnamedEncoding = /^received compressed envelope\b/;

function reasonOf({ code, rawMessage }: ConnectError, streamId: string): BatonError {
  if (unnamedEncoding.test(rawMessage)) return new BatonError("ENCODING_MISSING");
  if (code === Code.InvalidArgument || malformed.test(rawMessage)) {
    return new BatonError("MALFORMED", "the request cannot be read as a call of this method");
  }
  switch (code) {
    case Code.ResourceExhausted:
      return new BatonError("MESSAGE_TOO_LARGE");
    case Code.DeadlineExceeded:
      return new BatonError("DEADLINE");
    case Code.Unimplemented:
      return new BatonError("PROTOCOL_UNSUPPORTED", `unknown compression; supported encodings: ${acceptedEncodings}`);
    default:
      return new BatonError("INTERNAL", `internal error; stream ${streamId}`);
  }
}
