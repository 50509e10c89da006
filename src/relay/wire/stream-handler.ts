import type { DescMethodStreaming } from "@bufbuild/protobuf";
import { BatonError } from "../../session/reasons.ts";
import type { FrameForm, Inbound, StreamCall, StreamHandler } from "../stream.ts";
import type { BodySource } from "./body.ts";
import type { CallContext, WireEndpoint } from "./endpoint.ts";
import { admitError, type ReportError } from "./errors.ts";
import { createInbound, exactlyOne } from "./inbound.ts";
import { type CallOutlet, createOutlet } from "./outlet.ts";
import type { WireProtocol } from "./protocol.ts";
import { matchProtocol, servedProtocols } from "./protocols.ts";
import { refuseContentType, refuseVerb } from "./refusals.ts";

export interface StreamEndpointOptions {
  /** The largest message taken, in bytes, without its envelope. */
  readonly maxMessageBytes: number;
  /** How long an ended stream waits for a peer that is behind to take the end. */
  readonly endGraceMs: number;
  readonly report: ReportError;
}

export interface StreamEndpoint extends WireEndpoint {
  handle(request: Request, context: CallContext): Response;
}

/** setTimeout fires at once for more than this, 24.8 days; no stream grows so old. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * One streaming method, over every protocol and runtime. What is wrong with a request is told in its protocol's own form.
 * Everything by which the end of a call shows becomes one abort of `call.signal`: the request's signal, its body breaking
 * off, the response's body let go, a write that fails, the deadline, `outlet.end`.
 */
export function createStreamEndpoint<M extends DescMethodStreaming>(
  method: M,
  handler: StreamHandler<M["input"]>,
  options: StreamEndpointOptions,
): StreamEndpoint {
  return {
    method,
    handle(request, context) {
      if (request.method !== "POST") return refuseVerb(request, context, "POST");
      const matched = matchProtocol(request, context);
      if (matched === undefined) {
        const served = servedProtocols(context).flatMap(({ streamContentTypes }) => streamContentTypes);
        return refuseContentType(request, context, served);
      }
      const { protocol, form } = matched;
      try {
        protocol.assertUncompressed(request.headers);
        const deadlineMs = protocol.parseDeadlineMs(request.headers);
        const source = openCall(method, handler, options, { request, context, protocol, form, deadlineMs });
        return new Response(context.openBody(source), { headers: protocol.responseHeaders(form) });
      } catch (error) {
        const known = admitError(error, context.streamId);
        if (known !== error) options.report(context.streamId, error);
        const { bytes, trailers } = protocol.encodeEnd(known);
        const headers = protocol.responseHeaders(form);
        trailers?.forEach((value, name) => void headers.set(name, value));
        return new Response(bytes ?? null, { headers });
      }
    },
  };
}

interface CallRequest {
  readonly request: Request;
  readonly context: CallContext;
  readonly protocol: WireProtocol;
  readonly form: FrameForm;
  readonly deadlineMs: number | undefined;
}

function openCall<M extends DescMethodStreaming>(
  method: M,
  handler: StreamHandler<M["input"]>,
  options: StreamEndpointOptions,
  { request, context, protocol, form, deadlineMs }: CallRequest,
): BodySource {
  const { streamId, sendTrailers } = context;
  const peer = request.signal;
  /** Let go once the call has it: with its headers and body it would weigh as much as the rest of a quiet stream. */
  let unserved:
    | { readonly headers: Headers; readonly messages: AsyncIterableIterator<Inbound<M["input"]>> }
    | undefined;
  const life = new AbortController();
  const { signal } = life;
  let outlet: CallOutlet | undefined;

  function over(reason: unknown): void {
    if (signal.aborted) return;
    clearTimeout(deadline);
    peer.removeEventListener("abort", gone);
    life.abort(reason);
  }
  function gone(): void {
    outlet?.release();
    over(new DOMException("the peer is gone", "AbortError"));
  }
  function expire(): void {
    const error = new BatonError("DEADLINE");
    over(error);
    outlet?.end(error);
  }

  const deadline =
    deadlineMs === undefined || deadlineMs > maxTimerMs ? undefined : setTimeout(expire, Math.max(deadlineMs, 0));
  peer.addEventListener("abort", gone, { once: true });
  const { maxMessageBytes } = options;
  const messages = createInbound(request.body, { schema: method.input, form, maxMessageBytes, signal, gone });
  unserved = { headers: request.headers, messages };
  if (peer.aborted) gone();

  /** Holds nothing of the call itself, which its handler may let go. */
  function serve(call: StreamCall<M["input"]>): void {
    const end = call.outlet.end.bind(call.outlet);
    handler(call).then(
      () => end(),
      (error: unknown) => {
        const known = admitError(error, streamId);
        if (known !== error && error !== signal.reason) options.report(streamId, error);
        end(known);
      },
    );
  }

  return {
    gone,
    run(sink) {
      const ended = () => over(new DOMException("the call has ended", "AbortError"));
      outlet = createOutlet(sink, { form, protocol, sendTrailers, endGraceMs: options.endGraceMs, ended, gone });
      const call = unserved;
      unserved = undefined;
      if (signal.aborted || call === undefined) {
        // Over before its body could begin.
        outlet.end(signal.reason instanceof BatonError ? signal.reason : undefined);
        return outlet.finished;
      }
      const inbound = method.methodKind === "server_streaming" ? exactlyOne(call.messages) : call.messages;
      serve({ streamId, protocol: protocol.protocolName, headers: call.headers, inbound, outlet, signal });
      return outlet.finished;
    },
  };
}
