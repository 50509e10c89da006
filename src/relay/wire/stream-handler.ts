import type { DescMethodStreaming } from "@bufbuild/protobuf";
import type { StreamHandler } from "../stream.ts";
import type { CallContext, WireEndpoint } from "./endpoint.ts";
import { admitError } from "./errors.ts";
import { createInbound } from "./inbound.ts";
import { matchProtocol, servedProtocols } from "./protocols.ts";
import { refuseContentType, refuseVerb } from "./refusals.ts";
import { isSocketRequest } from "./socket.ts";
import { answerSocketRequest } from "./socket-call.ts";
import type { SocketQueueOptions } from "./socket-queue.ts";
import { type CallOptions, openCall } from "./stream-call.ts";

export interface StreamEndpointOptions extends CallOptions, SocketQueueOptions {}

export interface StreamEndpoint extends WireEndpoint {
  handle(request: Request, context: CallContext): Response;
}

/** One streaming method, over every protocol and runtime. What is wrong with a request is told in its protocol's own form. */
export function createStreamEndpoint<M extends DescMethodStreaming>(
  method: M,
  handler: StreamHandler<M["input"]>,
  options: StreamEndpointOptions,
): StreamEndpoint {
  const { maxMessageBytes, report } = options;
  return {
    method,
    handle(request, context) {
      if (method.methodKind === "bidi_streaming" && isSocketRequest(request)) {
        return answerSocketRequest(method, handler, options, request, context);
      }
      if (request.method !== "POST") return refuseVerb(request, context, "POST");
      const matched = matchProtocol(request, context);
      if (matched === undefined) {
        const served = servedProtocols(context).flatMap(({ streamContentTypes }) => streamContentTypes);
        return refuseContentType(request, context, served);
      }
      const { protocol, form } = matched;
      const { streamId, sendTrailers } = context;
      const { headers, signal: peer } = request;
      try {
        const decompress = protocol.parseCompression(headers);
        const deadlineMs = protocol.parseDeadlineMs(headers);
        const source = openCall(method, handler, options, {
          streamId,
          protocol,
          form,
          headers,
          openInbound: (life) =>
            createInbound(request.body, { schema: method.input, form, maxMessageBytes, decompress, ...life }),
          peer,
          deadlineMs,
          sendTrailers,
        });
        return new Response(context.openBody(source), { headers: protocol.responseHeaders(form) });
      } catch (error) {
        const known = admitError(error, streamId);
        if (known !== error) report(streamId, error);
        const { bytes, trailers } = protocol.encodeEnd(known);
        const headers = protocol.responseHeaders(form);
        trailers?.forEach((value, name) => void headers.set(name, value));
        return new Response(bytes ?? null, { headers });
      }
    },
  };
}
