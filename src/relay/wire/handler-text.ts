import { contentTypeProto as binaryContentType, headerContentType } from "@connectrpc/connect/protocol-grpc-web";
import { BatonError } from "../../session/reasons.ts";
import { createBase64Decoder, encodeBase64 } from "./base64.ts";
import { connectErrorFrom } from "./errors.ts";
import { contentTypeText, matchForm } from "./protocol-grpc-web-text.ts";

/** connect-es knows no gRPC-Web text: what comes so is read for it as binary gRPC-Web, and its answer told as text. */
export async function throughText(
  request: Request,
  handle: (request: Request) => Promise<Response>,
): Promise<Response> {
  if (matchForm(request.headers.get(headerContentType)) === undefined) return handle(request);
  const { status, headers, body } = await handle(asBinary(request));
  const textHeaders = new Headers(headers);
  textHeaders.set(headerContentType, contentTypeText);
  return new Response(body?.pipeThrough(encodeChunks()) ?? null, { status, headers: textHeaders });
}

function asBinary(request: Request): Request {
  const { method, url, signal } = request;
  const headers = new Headers(request.headers);
  headers.set(headerContentType, binaryContentType);
  headers.delete("content-length");
  const body = request.body?.pipeThrough(decodeChunks()) ?? null;
  return new Request(url, { method, headers, signal, ...(body === null ? {} : { body, duplex: "half" }) });
}

/** Of what comes together, so that an answer's frames need not wait for those behind them. */
function encodeChunks(): TransformStream<Uint8Array, Uint8Array<ArrayBuffer>> {
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(encodeBase64(chunk));
    },
  });
}

function decodeChunks(): TransformStream<Uint8Array, Uint8Array<ArrayBuffer>> {
  const decoder = createBase64Decoder();
  return new TransformStream({
    transform(chunk, controller) {
      try {
        controller.enqueue(decoder.decode(chunk));
      } catch (error) {
        throw error instanceof BatonError ? connectErrorFrom(error) : error;
      }
    },
    flush() {
      if (decoder.isIncomplete) throw connectErrorFrom(new BatonError("MALFORMED", "the body ends within a message"));
    },
  });
}
